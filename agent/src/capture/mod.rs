//! Capture: from a NIC's packets to facts about each of them.

pub mod packet;
pub mod wire_len;
