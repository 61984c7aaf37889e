//! Members of accounts: NICs, hosts, and all hosts with a tag; and which NICs they stand for at what time.
//! Pure.
//!
//! A host with a tag is a member while it has the tag. That begins and ends at 5-minute marks, as the sums do
//! that are billed, and what was counted before a change stays: retagging rewrites no bill.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;
use wire::WallNs;
use wire::id::{ClientId, NicName};
use wire::message::link_speed;
use wire::tag::Tag;

use super::cycle::CycleBounds;
use crate::store::{KnownNic, TagStay};
use crate::time::Time;

/// Whose traffic is pooled. Of hosts, the NICs in their totals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// `CLIENT/NIC`: a NIC.
    Nic(ClientId, NicName),
    /// `CLIENT`: a host.
    Host(ClientId),
    /// `KEY=VALUE`: all hosts, while they have the tag.
    Tagged(Tag),
}

/// A text that is no member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no member; write CLIENT/NIC, CLIENT for all NICs in its total, or KEY=VALUE for all clients with \
     a tag"
)]
pub struct InvalidMember(String);

impl FromStr for Member {
    type Err = InvalidMember;

    fn from_str(text: &str) -> Result<Self, InvalidMember> {
        let invalid = || InvalidMember(text.to_owned());
        // Only a NIC's name and a tag's value have other signs.
        match text.find(['/', '=']).map(|at| (&text[..at], &text[at..])) {
            None => ClientId::new(text).map(Self::Host).map_err(|_| invalid()),
            Some((client, rest)) => match rest.strip_prefix('/') {
                None => text.parse().map(Self::Tagged).map_err(|_| invalid()),
                Some(nic) => {
                    let client = ClientId::new(client).map_err(|_| invalid())?;
                    // No link has a / in its name.
                    let nic = NicName::new(nic).filter(|_| !nic.contains('/'));
                    Ok(Self::Nic(client, nic.ok_or_else(invalid)?))
                }
            },
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nic(client, nic) => write!(f, "{client}/{nic}"),
            Self::Host(client) => client.fmt(f),
            Self::Tagged(tag) => tag.fmt(f),
        }
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A time during which a NIC counts, because its client had a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct NicStay {
    /// Its start.
    pub from: Time,
    /// Its end, not included.
    pub to: Time,
}

impl ChosenNic {
    /// Link speed, bit/s, if it limits anything.
    pub fn speed_bits(&self) -> Option<u64> {
        Some(link_speed(&self.nic.kind, self.nic.speed_bits)).filter(|bits| *bits > 0)
    }

    /// The same up to a time.
    pub fn until(&self, to_ns: WallNs) -> Self {
        let cut = |stay: &NicStay| NicStay { to: stay.to.min(Time(to_ns)), ..*stay };
        let stays = self
            .stays
            .as_ref()
            .map(|stays| stays.iter().filter(|stay| stay.from.0 < to_ns).map(cut).collect());
        Self { stays, ..self.clone() }
    }
}

impl NicStay {
    /// Whether a time lies in it.
    pub(super) fn contains(&self, time_ns: WallNs) -> bool {
        (self.from.0..self.to.0).contains(&time_ns)
    }
}

/// A NIC of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChosenNic {
    /// Which one.
    pub nic: KnownNic,
    /// Counts only while it was part of the host's total.
    pub by_host: bool,
    /// Counts only during these, which are in order and apart; `None`: all the time.
    pub stays: Option<Vec<NicStay>>,
}

/// Members, and when hosts had the tags among them.
#[derive(Debug)]
pub(super) struct Members<'a> {
    members: &'a [Member],
    /// By the member's place.
    stays: BTreeMap<usize, Vec<TagStay>>,
}

impl<'a> Members<'a> {
    /// Members of which no tag is known yet.
    pub const fn new(members: &'a [Member]) -> Self {
        Self { members, stays: BTreeMap::new() }
    }

    /// The tags to ask the store for, by the member's place.
    pub fn tags(&self) -> Vec<(usize, &'a Tag)> {
        let tag = |(at, member): (usize, &'a Member)| match member {
            Member::Tagged(tag) => Some((at, tag)),
            _ => None,
        };
        self.members.iter().enumerate().filter_map(tag).collect()
    }

    /// Takes the store's answer: when hosts had the tag of the member at this place.
    pub fn set_stays(&mut self, at: usize, stays: Vec<TagStay>) {
        self.stays.insert(at, stays);
    }

    /// The clients that they are about, each once.
    pub fn clients(&self) -> Vec<String> {
        let named = self.members.iter().filter_map(|member| match member {
            Member::Nic(client, _) | Member::Host(client) => Some(client.to_string()),
            Member::Tagged(_) => None,
        });
        let tagged = self.stays.values().flatten().map(|stay| stay.client.clone());
        named.chain(tagged).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Their NICs of a cycle, each once; and the members without any.
    pub fn nics(&self, bounds: CycleBounds, known: &[KnownNic]) -> (Vec<ChosenNic>, Vec<String>) {
        let mut of_client: BTreeMap<&str, Vec<&KnownNic>> = BTreeMap::new();
        for nic in known {
            of_client.entry(&nic.client).or_default().push(nic);
        }
        let of = |client: &str| of_client.get(client).into_iter().flatten().copied();
        let mut chosen = Chosen::default();
        let mut unknown = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let before = chosen.taken;
            match member {
                Member::Nic(client, name) => {
                    let name = name.to_string();
                    of(client.as_str())
                        .filter(|nic| nic.nic == name)
                        .for_each(|nic| chosen.take(nic, false, None));
                }
                Member::Host(client) => {
                    of(client.as_str()).for_each(|nic| chosen.take(nic, true, None));
                }
                Member::Tagged(_) => {
                    for TagStay { client, from_ns, to_ns } in
                        self.stays.get(&at).into_iter().flatten()
                    {
                        let (from, to) = (
                            Time((*from_ns).max(bounds.from_ns)),
                            Time((*to_ns).min(bounds.to_ns)),
                        );
                        of(client)
                            .for_each(|nic| chosen.take(nic, true, Some(NicStay { from, to })));
                    }
                }
            }
            if chosen.taken == before {
                unknown.push(member.to_string());
            }
        }
        (chosen.finish(), unknown)
    }
}

/// NICs, by client and name.
#[derive(Debug, Default)]
struct Chosen<'a> {
    nics: BTreeMap<(&'a str, &'a str), ChosenNic>,
    /// How often one was taken.
    taken: usize,
}

impl<'a> Chosen<'a> {
    /// Takes a NIC: by its host or named, all the time or during a stay. What counts more, counts.
    fn take(&mut self, nic: &'a KnownNic, by_host: bool, stay: Option<NicStay>) {
        self.taken += 1;
        let fresh = || ChosenNic { nic: nic.clone(), by_host: true, stays: Some(Vec::new()) };
        let entry = self.nics.entry((&nic.client, &nic.nic)).or_insert_with(fresh);
        entry.by_host &= by_host;
        match (stay, &mut entry.stays) {
            (None, stays) => *stays = None,
            (Some(stay), Some(stays)) => stays.push(stay),
            (Some(_), None) => {}
        }
    }

    fn finish(self) -> Vec<ChosenNic> {
        let joined = |chosen: ChosenNic| ChosenNic { stays: chosen.stays.map(joined), ..chosen };
        self.nics.into_values().map(joined).collect()
    }
}

/// Stays in order, those that overlap or touch as one.
fn joined(mut stays: Vec<NicStay>) -> Vec<NicStay> {
    stays.sort_unstable();
    let mut apart: Vec<NicStay> = Vec::new();
    for stay in stays.into_iter().filter(|stay| stay.from < stay.to) {
        match apart.last_mut() {
            Some(last) if stay.from <= last.to => last.to = last.to.max(stay.to),
            _ => apart.push(stay),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(client: &str, nic: &str) -> KnownNic {
        let (client, nic, kind) = (client.into(), nic.into(), "physical".into());
        KnownNic { client, nic, kind, speed_bits: 0 }
    }

    fn bounds(from: u64, to: u64) -> CycleBounds {
        let name = "1970-01".parse().unwrap();
        CycleBounds { name, from_ns: WallNs(from), to_ns: WallNs(to) }
    }

    /// Which NICs, named or by their host, and when.
    fn told(nics: &[ChosenNic]) -> Vec<String> {
        let text = |it: &ChosenNic| {
            let stays = it.stays.as_ref().map(|stays| {
                let stays = stays.iter().map(|it| format!("{}-{}", it.from.0.get(), it.to.0.get()));
                stays.collect::<Vec<_>>().join(" ")
            });
            let how = if it.by_host { "host" } else { "named" };
            format!(
                "{}/{} {how} {}",
                it.nic.client,
                it.nic.nic,
                stays.unwrap_or_else(|| "always".into())
            )
        };
        nics.iter().map(text).collect()
    }

    #[test]
    fn a_nic_counts_once_and_as_itself_if_it_is_named() {
        let known = [nic("a", "eth0"), nic("a", "eth1"), nic("b", "eth0")];
        let members = ["a", "a/eth1", "b/eth9", "c"].map(|it| it.parse().unwrap());
        let (nics, unknown) = Members::new(&members).nics(bounds(0, 9), &known);
        assert_eq!(told(&nics), ["a/eth0 host always", "a/eth1 named always"]);
        assert_eq!(unknown, ["b/eth9", "c"]);
    }

    #[test]
    fn a_tagged_host_counts_during_its_stays_and_always_if_it_is_named_too() {
        let known = [nic("a", "eth0"), nic("b", "eth0"), nic("b", "eth1"), nic("c", "eth0")];
        let members = ["site=ams", "role=cache", "site=fra", "b/eth1", "c", "x=y"];
        let members = members.map(|it| it.parse().unwrap());
        let mut chosen = Members::new(&members);
        let asked: Vec<_> =
            chosen.tags().into_iter().map(|(at, tag)| (at, tag.to_string())).collect();
        let expected = [(0, "site=ams"), (1, "role=cache"), (2, "site=fra"), (5, "x=y")];
        assert_eq!(asked, expected.map(|(at, tag)| (at, tag.to_owned())));
        let stay = |client: &str, from, to| {
            let (from_ns, to_ns) = (WallNs(from), WallNs(to));
            TagStay { client: client.into(), from_ns, to_ns }
        };
        // a has one of both tags from 20 to 70 but for 45 to 50, and one before the cycle, which begins at 10.
        chosen.set_stays(0, vec![stay("a", 20, 40), stay("a", 50, 60), stay("b", 5, 300)]);
        chosen.set_stays(1, vec![stay("a", 30, 45), stay("a", 60, 70), stay("c", 20, 30)]);
        chosen.set_stays(2, vec![stay("gone", 20, 30)]);
        assert_eq!(chosen.clients(), ["a", "b", "c", "gone"]);
        let (nics, unknown) = chosen.nics(bounds(10, 100), &known);
        let expected = [
            "a/eth0 host 20-45 50-70",
            "b/eth0 host 10-100",
            "b/eth1 named always",
            "c/eth0 host always",
        ];
        assert_eq!(told(&nics), expected);
        assert_eq!(unknown, ["site=fra", "x=y"], "no NIC was measured of any host with the tag");
    }

    #[test]
    fn members_are_nics_hosts_or_tags() {
        let (nic, host, tag) = ("a.b.example/bond0.100", "web-1", "site=rack/7:a");
        assert!(matches!(nic.parse(), Ok(Member::Nic(..))));
        assert!(matches!(host.parse(), Ok(Member::Host(_))));
        assert!(matches!(tag.parse(), Ok(Member::Tagged(_))));
        for text in [nic, host, tag, "web-1/a=b"] {
            assert_eq!(text.parse::<Member>().unwrap().to_string(), text);
        }
        let long = "web/a_name_that_is_too_long";
        for text in ["", "/eth0", "web-1/", "web 1", long, "a/b/c", "=ams", "site=", "Site=ams"] {
            let error = text.parse::<Member>().unwrap_err().to_string();
            assert!(error.contains("is no member; write CLIENT/NIC"), "{error}");
        }
    }
}
