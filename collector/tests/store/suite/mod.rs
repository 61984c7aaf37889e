//! The behaviours of every store.

mod account_parts;
mod account_tags;
mod accounts;
mod client_days;
mod export;
mod gaps;
mod groups;
mod history;
mod long_addresses;
mod packed_mixes;
mod percentile;
mod place;
mod quarantine;
mod retention;
mod series;
mod sessions;
mod tags;
mod talkers;
mod talkers_day;
mod views;

pub use self::account_parts::*;
pub use self::account_tags::*;
pub use self::accounts::*;
pub use self::client_days::*;
pub use self::export::*;
pub use self::gaps::*;
pub use self::groups::*;
pub use self::history::*;
pub use self::long_addresses::*;
pub use self::packed_mixes::*;
pub use self::percentile::*;
pub use self::place::*;
pub use self::quarantine::*;
pub use self::retention::*;
pub use self::series::*;
pub use self::sessions::*;
pub use self::tags::*;
pub use self::talkers::*;
pub use self::talkers_day::*;
pub use self::views::*;
pub use crate::alerts::{
    a_change_that_comes_again_notes_what_was_sent_meanwhile,
    a_message_is_sent_by_one_until_its_lease_ends, a_muted_incident_is_told_later_or_never,
    alerts_that_are_over_are_deleted_by_age_with_their_messages,
    history_comes_page_by_page_by_time_rule_and_client, messages_are_settled_together,
    of_one_rule_and_subject_one_incident_is_open_and_told_once,
    of_what_a_collector_does_not_stand_behind_it_is_told_who_did_and_when,
    only_targets_with_something_to_send_are_to_be_served,
    silences_are_for_all_collectors_until_they_end, that_it_is_over_is_told_after_that_it_began,
    those_who_were_told_that_it_fires_are_told_that_it_is_over,
};
pub use crate::cancel::what_is_read_for_nobody_ends_and_leaves_its_place;
pub use crate::clocks::{
    a_client_once_seen_in_the_future_is_seen_today,
    a_clock_two_years_ahead_deletes_nothing_and_is_kept_in_mind_over_restarts,
    a_session_committed_to_under_a_clock_in_1970_is_not_forgotten,
    rows_said_to_be_complete_from_the_future_on_are_looked_at_anew,
};
pub use crate::hostile::{
    a_session_that_began_in_the_future_is_forgotten_too, figures_beyond_any_link_delay_nobody,
    samples_dated_far_off_are_kept_with_their_counts_for_a_month,
    sums_beyond_64_bits_break_neither_proof_nor_views_nor_retention,
    sums_that_no_column_holds_delay_nobody_and_are_quarantined_whole,
};
pub use crate::register::{
    a_client_that_never_connected_can_be_forgotten,
    a_forgotten_client_is_listed_no_more_until_it_is_let_in_again,
    purging_leaves_no_row_of_a_client_and_all_of_the_others,
    revocations_are_for_all_collectors_and_only_rise,
    signing_out_is_for_all_collectors_until_the_session_would_have_ended,
};
pub use crate::report::the_report_view_equals_an_independent_computation;
pub use crate::tokens::{
    a_use_given_back_can_be_taken_again_and_a_cancelled_token_has_none,
    an_id_is_taken_once_until_it_is_given_back_or_its_client_forgotten,
    of_many_that_take_a_use_at_once_exactly_as_many_get_one_as_there_are,
    uses_of_a_token_long_expired_are_forgotten,
};
