//! Names of addresses by the host's resolver. Never waits: what isn't known is looked up meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use settings::InFull;

use crate::time::boot;

/// Threads that wait for the resolver, which takes up to half a minute for an answer by its defaults.
const THREADS: usize = 4;

/// Addresses that wait. Those beyond are asked for again by the next request.
const WAITING_MAX: usize = 256;

/// Names that are kept, about 100 bytes each.
const KEPT_MAX: usize = 10_000;

/// How long a name counts, and that there is none: it may be a failure of the resolver.
const KEPT: Duration = Duration::from_secs(3600);
const NONE_KEPT: Duration = Duration::from_secs(300);

/// Longest name (RFC 1035); of a longer one this is the beginning.
const NAME_MAX: usize = 253;

/// Looks up names, and keeps them for a while.
#[derive(Clone)]
pub struct AddressNames {
    kept: Arc<Mutex<Kept>>,
    ask: Sender<IpAddr>,
}

impl fmt::Debug for AddressNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressNames").finish_non_exhaustive()
    }
}

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameLookup {
    /// Its name, if it has one.
    Known(Option<String>),
    /// Nothing yet.
    Pending,
}

/// Names, and addresses that are being looked up.
#[derive(Debug, Default)]
struct Kept {
    names: HashMap<IpAddr, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// `None` while it is being looked up.
    found: Option<(Option<String>, Duration)>,
}

impl AddressNames {
    /// Names by the host's resolver: `/etc/hosts`, DNS, and what else it is set to ask.
    #[must_use]
    pub fn of_host() -> Self {
        Self::with(|address| dns_lookup::lookup_addr(&address).ok())
    }

    /// Names by this function, which may take its time.
    #[must_use]
    pub fn with(look_up: impl Fn(IpAddr) -> Option<String> + Send + Sync + 'static) -> Self {
        let (ask, asked) = bounded(WAITING_MAX);
        let (kept, look_up) = (Arc::new(Mutex::new(Kept::default())), Arc::new(look_up));
        for _ in 0..THREADS {
            let (asked, kept, look_up) = (asked.clone(), Arc::clone(&kept), Arc::clone(&look_up));
            let name = thread::Builder::new().name("names".to_owned());
            let started = name.spawn(move || serve(&asked, &kept, &*look_up));
            if let Err(error) = started {
                tracing::warn!(error = %error.in_full(), "can't start a thread that looks up names");
            }
        }
        Self { kept, ask }
    }

    /// The name of an address, if it is known. If not, it is looked up.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> NameLookup {
        let mut kept = lock(&self.kept);
        match kept.at(address, boot()) {
            Some(lookup) => lookup,
            None => {
                // Those without a place are asked for again.
                if self.ask.try_send(address).is_ok() {
                    kept.names.insert(address, Entry { found: None });
                }
                NameLookup::Pending
            }
        }
    }
}

impl Kept {
    /// What is known of an address at a time; `None` if it is to be looked up.
    fn at(&self, address: IpAddr, now: Duration) -> Option<NameLookup> {
        match &self.names.get(&address)?.found {
            None => Some(NameLookup::Pending),
            Some((name, until)) if now < *until => Some(NameLookup::Known(name.clone())),
            Some(_) => None,
        }
    }

    fn put(&mut self, address: IpAddr, name: Option<String>, now: Duration) {
        if self.names.len() >= KEPT_MAX {
            let old = |entry: &Entry| entry.found.as_ref().is_some_and(|(_, until)| *until <= now);
            self.names.retain(|_, entry| !old(entry));
        }
        // Still full: all are new, and are looked up again when they are asked for.
        if self.names.len() >= KEPT_MAX {
            self.names.retain(|_, entry| entry.found.is_none());
        }
        let until = now + if name.is_some() { KEPT } else { NONE_KEPT };
        self.names.insert(address, Entry { found: Some((name, until)) });
    }
}

fn serve(asked: &Receiver<IpAddr>, kept: &Mutex<Kept>, look_up: &dyn Fn(IpAddr) -> Option<String>) {
    // Ends with the last handle.
    for address in asked {
        let name = look_up(address).and_then(sound);
        lock(kept).put(address, name, boot());
    }
}

/// A name, which whoever owns the address chooses. The resolver gives the address itself if there is none.
fn sound(name: String) -> Option<String> {
    if name.is_empty() || name.parse::<IpAddr>().is_ok() {
        return None;
    }
    Some(name.chars().take(NAME_MAX).collect())
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Asks until the answer is there.
    fn answer(names: &AddressNames, address: IpAddr) -> Option<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match names.of(address) {
                NameLookup::Known(name) => return name,
                NameLookup::Pending => assert!(Instant::now() < deadline, "no answer"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn nobody_waits_for_a_resolver_that_hangs() {
        let (answer_now, held) = channel::<()>();
        let held = Mutex::new(held);
        let names = AddressNames::with(move |address| {
            let _until_told = held.lock().unwrap().recv();
            Some(format!("host-{address}"))
        });
        let begin = Instant::now();
        // More than may wait.
        for n in 0..=u16::MAX {
            let [high, low] = n.to_be_bytes();
            assert_eq!(names.of([10, 0, high, low].into()), NameLookup::Pending);
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        assert!(lock(&names.kept).names.len() <= WAITING_MAX + THREADS);
        drop(answer_now);
        assert_eq!(answer(&names, [10, 0, 0, 0].into()).unwrap(), "host-10.0.0.0");
        // One that found no place is looked up when it is asked for again.
        assert_eq!(answer(&names, [10, 0, 255, 255].into()).unwrap(), "host-10.0.255.255");
    }

    #[test]
    fn an_address_is_no_name_and_a_long_name_is_cut() {
        let names = AddressNames::with(|asked| match asked {
            it if it == address(1) => Some(it.to_string()),
            it if it == address(2) => Some("x".repeat(1000)),
            _ => None,
        });
        assert_eq!(answer(&names, address(1)), None);
        assert_eq!(answer(&names, address(2)).unwrap().len(), NAME_MAX);
        assert_eq!(answer(&names, address(3)), None);
    }

    #[test]
    fn names_end_and_are_bounded_in_number() {
        let (mut kept, now) = (Kept::default(), Duration::from_secs(100));
        kept.put(address(1), Some("a.example".into()), now);
        kept.put(address(2), None, now);
        let known = |name: Option<&str>| Some(NameLookup::Known(name.map(str::to_owned)));
        assert_eq!(kept.at(address(1), now), known(Some("a.example")));
        assert_eq!(kept.at(address(2), now + NONE_KEPT / 2), known(None));
        assert_eq!(kept.at(address(2), now + NONE_KEPT), None);
        assert_eq!(kept.at(address(1), now + KEPT), None);
        for n in 0..2 * KEPT_MAX {
            let address = std::net::Ipv4Addr::from(u32::try_from(n).unwrap());
            kept.put(address.into(), Some("b.example".into()), now);
        }
        assert!(kept.names.len() <= KEPT_MAX);
    }
}
