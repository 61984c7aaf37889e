//! Talkers' questions, and the answers put where they belong.

use wire::BootNs;
use wire::talkers::{Talker, TalkerOwner, Talkers};

use super::question::OwnerQuestion;
use crate::account::clock::WallReading;
use crate::talkers::{SeenSockets, TalkersReport};

/// What to ask of the reports, and since when the traffic was.
#[must_use]
pub fn questions(reports: &[TalkersReport], now: WallReading) -> Vec<(OwnerQuestion, BootNs)> {
    let mut asked = Vec::new();
    for TalkersReport { record, rx_seen, tx_seen } in reports {
        let since_ns = began(record, now);
        for (talkers, flows) in [(&record.rx.talkers, rx_seen), (&record.tx.talkers, tx_seen)] {
            let questions = talkers.iter().zip(flows).filter_map(question);
            asked.extend(questions.map(|question| (question, since_ns)));
        }
    }
    asked
}

/// Puts the owners into the reports that were asked about, in the order of the questions.
pub fn fill(reports: &mut [TalkersReport], owners: Vec<Option<TalkerOwner>>) {
    let mut owners = owners.into_iter();
    for TalkersReport { record, rx_seen, tx_seen } in reports {
        let Talkers { rx, tx, owners: listed, .. } = record;
        for (talkers, flows) in [(&mut rx.talkers, rx_seen), (&mut tx.talkers, tx_seen)] {
            for (talker, seen) in talkers.iter_mut().zip(flows) {
                if question((talker, seen)).is_some()
                    && let Some(owner) = owners.next().flatten()
                {
                    talker.owner = number(listed, owner);
                }
            }
        }
    }
}

fn question((talker, seen): (&Talker, &SeenSockets)) -> Option<OwnerQuestion> {
    OwnerQuestion::of(talker.key.kind, *seen)
}

/// The number of an owner in a record, which gets it if it doesn't have it yet. Talkers are few enough
/// (`TALKERS_MAX`) that each can have one of its own.
fn number(listed: &mut Vec<TalkerOwner>, owner: TalkerOwner) -> u16 {
    let at = listed.iter().position(|other| *other == owner).unwrap_or_else(|| {
        listed.push(owner);
        listed.len() - 1
    });
    u16::try_from(at + 1).unwrap_or(0)
}

/// When a record's interval began, by the boot clock. It ended before now, however the wall clock was
/// stepped; where that says that it has not begun yet, nothing is known of it.
fn began(record: &Talkers, now: WallReading) -> BootNs {
    if record.start_ns > now.wall_ns {
        return BootNs(0);
    }
    let ago_ns = now.wall_ns.saturating_since(record.start_ns).max(record.interval_ns);
    BootNs(now.before_ns.get().saturating_sub(ago_ns))
}

#[cfg(test)]
mod tests {
    use wire::WallNs;
    use wire::talkers::{KeyKind, TalkerKey};

    use super::*;
    use crate::talkers::SocketPair;

    fn talker(kind: KeyKind) -> Talker {
        Talker { key: TalkerKey { kind: kind as u8, ..TalkerKey::default() }, ..Talker::default() }
    }

    fn owner(name: &str) -> TalkerOwner {
        TalkerOwner { name: name.to_owned(), ..TalkerOwner::default() }
    }

    #[test]
    fn each_talker_gets_the_answer_to_its_own_question() {
        let flow = |port| SocketPair {
            protocol: 6,
            local: format!("10.0.0.1:{port}").parse().unwrap(),
            remote: "10.0.0.2:80".parse().unwrap(),
        };
        let mut report = TalkersReport::default();
        report.record.rx.talkers = vec![talker(KeyKind::RemoteService), talker(KeyKind::Arp)];
        report.rx_seen = vec![SeenSockets::One(flow(1)), SeenSockets::Nothing];
        report.record.tx.talkers = vec![
            talker(KeyKind::Icmp),
            talker(KeyKind::LocalService),
            talker(KeyKind::RemoteService),
        ];
        report.tx_seen =
            vec![SeenSockets::Nothing, SeenSockets::Several(flow(2)), SeenSockets::One(flow(3))];
        let mut reports = [report.clone(), report];
        let now = WallReading { before_ns: BootNs(9), wall_ns: WallNs(9), after_ns: BootNs(9) };
        let asked = questions(&reports, now);
        let ports: Vec<u16> = asked.iter().map(|(it, _)| it.ends().0.port()).collect();
        assert_eq!(ports, [1, 2, 3, 1, 2, 3]);

        let (web, mail) = (Some(owner("web")), Some(owner("mail")));
        let answers = vec![web.clone(), None, mail.clone(), mail.clone(), mail, web];
        fill(&mut reports, answers);
        let numbers = |list: &[Talker]| list.iter().map(|it| it.owner).collect::<Vec<_>>();
        let [first, second] = reports.map(|it| it.record);
        assert_eq!(first.owners, [owner("web"), owner("mail")]);
        assert_eq!(
            (numbers(&first.rx.talkers), numbers(&first.tx.talkers)),
            (vec![1, 0], vec![0, 0, 2])
        );
        assert_eq!(second.owners, [owner("mail"), owner("web")]);
        assert_eq!(
            (numbers(&second.rx.talkers), numbers(&second.tx.talkers)),
            (vec![1, 0], vec![0, 1, 2])
        );
    }

    #[test]
    fn an_interval_began_before_now_whatever_the_wall_clock_says() {
        let at = |boot, wall| WallReading {
            before_ns: BootNs(boot),
            wall_ns: WallNs(wall),
            after_ns: BootNs(boot),
        };
        let record = Talkers { start_ns: WallNs(1000), interval_ns: 60, ..Talkers::default() };
        assert_eq!(began(&record, at(500, 1070)), BootNs(430));
        assert_eq!(began(&record, at(500, 1010)), BootNs(440), "stepped back within it");
        assert_eq!(began(&record, at(500, 900)), BootNs(0), "stepped back further");
        assert_eq!(began(&record, at(500, 90_000)), BootNs(0), "stepped forward");
    }
}
