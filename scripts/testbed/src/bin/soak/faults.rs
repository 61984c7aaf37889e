//! Begins and ends faults.

use testbed::sh;

use crate::plan::Fault;
use crate::world::World;

/// Packets whose UDP length is at least this are swallowed.
const SWALLOWED: u32 = 1000;

/// Begins a fault.
pub fn begin(world: &mut World, fault: Fault) {
    match fault {
        Fault::KillAgent(agent) => world.agents[agent].kill(),
        Fault::PauseAgent(agent) => world.agents[agent].pause(true),
        Fault::FillDisk(agent) => world.agents[agent].fill_disk(true),
        Fault::LinkDown(agent) => {
            sh(&format!("ip link set m{agent} down"));
        }
        Fault::Loss(agent, percent) => {
            drop_on(agent, &format!("numgen random mod 100 < {percent}"));
        }
        Fault::BlackHole(agent) => drop_on(agent, &format!("udp length >= {SWALLOWED}")),
        Fault::NewAddress(agent) => world.agents[agent].change_address(),
        Fault::KillCollector(one) => world.kill_collector(one),
        Fault::PauseCollector(one) => world.pause_collector(one, true),
        Fault::KillCollectors => {
            (0..world.parts().collectors).for_each(|one| world.kill_collector(one));
        }
        Fault::CrashDatabase => on_database(world, |cluster| cluster.stop("QUIT")),
        Fault::PauseDatabase => on_database(world, |cluster| cluster.signal_all("STOP")),
        Fault::StopAgent(agent) => world.agents[agent].stop_for_a_while(),
        Fault::StopCollectors => world.stop_collectors(),
        Fault::AgentClock(agent, by) => world.agents[agent].clock.set(by),
        Fault::CollectorClock(by) => world.set_clock(by),
        Fault::Sleep(agent, by) => world.agents[agent].clock.sleep(by),
    }
}

/// Ends a fault.
pub fn end(world: &mut World, fault: Fault) {
    match fault {
        Fault::KillAgent(agent) | Fault::StopAgent(agent) => {
            let wait = world.clocks;
            world.agents[agent].start_again(wait);
        }
        Fault::PauseAgent(agent) => world.agents[agent].pause(false),
        Fault::FillDisk(agent) => world.agents[agent].fill_disk(false),
        Fault::LinkDown(agent) => {
            // Its neighbours and address stay; learnt entries of the other end are gone.
            sh(&format!("ip link set m{agent} up"));
        }
        Fault::Loss(agent, _) | Fault::BlackHole(agent) => {
            sh(&format!("nft delete table inet faulty{agent}"));
        }
        Fault::NewAddress(_) => {}
        Fault::KillCollector(one) => world.start_collector(one),
        Fault::PauseCollector(one) => world.pause_collector(one, false),
        Fault::KillCollectors | Fault::StopCollectors => {
            (0..world.parts().collectors).for_each(|one| world.start_collector(one));
        }
        Fault::CrashDatabase => on_database(world, testbed::Cluster::start_again),
        Fault::PauseDatabase => on_database(world, |cluster| cluster.signal_all("CONT")),
        Fault::AgentClock(agent, _) | Fault::Sleep(agent, _) => world.agents[agent].clock.set(0),
        Fault::CollectorClock(_) => world.set_clock(0),
    }
}

fn on_database(world: &World, act: impl FnOnce(&testbed::Cluster)) {
    if let Some(cluster) = &world.cluster {
        act(cluster);
    }
}

/// Drops matching packets on an agent's link to the collectors, both ways.
fn drop_on(agent: usize, matching: &str) {
    sh(&format!(
        "nft -f - <<'END'\n\
         table inet faulty{agent} {{\n\
           chain input {{ type filter hook input priority 0; iifname m{agent} meta l4proto udp {matching} drop; }}\n\
           chain output {{ type filter hook output priority 0; oifname m{agent} meta l4proto udp {matching} drop; }}\n\
         }}\nEND"
    ));
}
