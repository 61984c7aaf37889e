//! Capture: turns a NIC's packets into facts about each of them.

mod fields;
pub mod pace;
pub mod packet;
pub mod packet_sums;
mod plain_ends;
pub mod probe;
pub mod reader;
#[allow(unsafe_code, reason = "memory shared with the kernel; see the module's invariants")]
pub mod ring;
pub mod size_class;
pub mod slot_counter;
pub mod talker_counter;
mod talker_flow;
pub mod wire_len;
