//! One suite, run against every store: all behave the same.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod alerts;
mod batches;
mod bill;
mod cancel;
mod citus;
mod claims;
mod clocks;
mod cluster;
mod drops;
mod export;
mod faults;
mod full;
mod grafana;
mod hostile;
mod import;
mod introductions;
mod migrate;
mod packed;
mod packed_mixes_postgres;
mod packed_postgres;
mod packing_killed;
mod pooler;
mod postgres;
mod proxy;
mod register;
mod report;
mod rules;
mod servers;
mod settings;
mod silences;
mod sqlite;
mod statements;
mod suite;
mod tokens;
mod upgrade;

/// Runs every behaviour of the suite as a separate test on a fresh database.
macro_rules! behaviours {
    ($fresh:expr; $($name:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $crate::suite::$name(&$fresh.await).await;
        })+
    };
    ($fresh:expr) => {
        $crate::behaviours! { $fresh;
            what_is_committed_is_read_back_exactly,
            a_batch_that_expects_another_number_is_refused_whole_and_by_name,
            an_older_opening_can_not_commit,
            a_batch_is_never_counted_twice,
            of_two_commits_of_the_same_numbers_one_wins,
            frames_that_leave_numbers_out_are_refused,
            a_session_of_another_client_is_refused,
            opening_again_keeps_what_is_committed,
            all_is_there_after_opening_the_store_again,
            rollups_are_what_the_samples_add_up_to,
            samples_that_start_at_the_same_time_are_all_kept,
            a_series_stays_within_its_limit_and_conserves_sums_and_peaks,
            a_long_range_is_read_from_a_coarser_table,
            gaps_are_exact_and_apart,
            a_gap_without_counts_is_explained_by_the_totals_on_both_sides,
            what_is_old_is_deleted_table_by_table,
            a_session_long_silent_is_forgotten_and_the_proof_still_holds,
            a_frame_that_can_not_be_kept_goes_to_quarantine_alone,
            frames_in_quarantine_are_deleted_by_an_age_of_their_own,
            a_client_with_too_many_nics_keeps_those_that_it_has,
            a_nic_is_forgotten_once_it_has_no_rows_left,
            a_minute_of_a_very_fast_nic_is_kept_whole_in_several_rows,
            clients_are_known_with_their_nics_and_clock,
            a_mix_is_summed_over_its_range,
            what_happened_to_a_nic_is_known,
            every_figure_of_a_mix_has_its_column,
            the_report_view_gives_the_old_columns,
            the_report_view_equals_an_independent_computation,
            the_minutes_of_several_clients_are_read_at_once,
            the_95th_percentile_is_what_transit_billing_takes,
            the_95th_percentile_of_a_client_is_that_of_its_nics_together,
            account_totals_are_what_sql_says_over_raw_rows,
            accounts_of_tags_are_what_sql_says_while_hosts_had_them,
            a_host_that_gets_a_tag_within_a_cycle_counts_from_then_on,
            a_running_cycle_read_in_parts_is_what_the_whole_says,
            an_account_knows_what_was_not_measured,
            an_account_counts_forgotten_clients_until_their_rows_go,
            a_cycle_of_which_sums_were_deleted_has_no_statement,
            a_frozen_cycle_never_changes_and_tells_what_came_late,
            what_is_changed_in_frozen_cycles_and_entries_is_found,
            a_warning_is_given_once_per_cycle_by_one_of_several_collectors,
            cycles_in_which_no_collector_ran_are_frozen_after_it,
            what_was_tampered_with_is_found,
            retention_and_commits_go_side_by_side,
            a_reader_of_an_export_that_stalls_gets_every_row_once,
            a_clock_two_years_ahead_deletes_nothing_and_is_kept_in_mind_over_restarts,
            rows_said_to_be_complete_from_the_future_on_are_looked_at_anew,
            a_session_committed_to_under_a_clock_in_1970_is_not_forgotten,
            a_client_once_seen_in_the_future_is_seen_today,
            a_forgotten_client_is_listed_no_more_until_it_is_let_in_again,
            a_client_that_never_connected_can_be_forgotten,
            an_agent_that_says_its_tags_again_cannot_change_its_past,
            a_tag_counts_when_it_was_set_and_retagging_leaves_the_past,
            sums_of_groups_are_those_of_the_raw_rows_to_the_byte,
            the_percentile_of_a_group_pools_its_nics_before_ranking,
            of_too_many_groups_the_largest_are_shown_and_the_others_are_one,
            sums_over_packed_days_are_those_of_the_rows,
            packed_days_that_differ_from_their_rows_are_found,
            a_day_to_which_rows_are_added_while_it_is_packed_is_packed_again,
            days_are_deleted_with_their_rows,
            of_days_that_are_not_packed_the_newest_steps_are_read_and_the_others_said_to_be_missing,
            purging_leaves_no_row_of_a_client_and_all_of_the_others,
            talkers_are_read_back_exactly_and_are_never_doubled,
            talkers_of_a_range_add_up_to_the_byte_however_they_are_grouped,
            views_of_talkers_unnest_them_and_lose_nothing,
            long_addresses_are_read_shown_and_found_however_alike_they_are,
            who_talked_to_an_address_is_found,
            a_list_of_talkers_that_cannot_be_read_is_counted_and_hides_no_other,
            talkers_are_deleted_by_an_age_of_their_own_with_their_owners,
            a_client_that_is_purged_leaves_no_talkers_and_can_come_again,
            talkers_that_were_tampered_with_are_found,
            revocations_are_for_all_collectors_and_only_rise,
            signing_out_is_for_all_collectors_until_the_session_would_have_ended,
            of_one_rule_and_subject_one_incident_is_open_and_told_once,
            a_message_is_sent_by_one_until_its_lease_ends,
            that_it_is_over_is_told_after_that_it_began,
            a_muted_incident_is_told_later_or_never,
            silences_are_for_all_collectors_until_they_end,
            alerts_that_are_over_are_deleted_by_age_with_their_messages,
            a_change_that_comes_again_notes_what_was_sent_meanwhile,
            history_comes_page_by_page_by_time_rule_and_client,
            of_what_a_collector_does_not_stand_behind_it_is_told_who_did_and_when,
            those_who_were_told_that_it_fires_are_told_that_it_is_over,
            only_targets_with_something_to_send_are_to_be_served,
            messages_are_settled_together,
            of_many_that_take_a_use_at_once_exactly_as_many_get_one_as_there_are,
            a_use_given_back_can_be_taken_again_and_a_cancelled_token_has_none,
            uses_of_a_token_long_expired_are_forgotten,
            an_id_is_taken_once_until_it_is_given_back_or_its_client_forgotten,
            what_is_read_for_nobody_ends_and_leaves_its_place,
            a_session_that_began_in_the_future_is_forgotten_too,
            figures_beyond_any_link_delay_nobody,
            samples_dated_far_off_are_kept_with_their_counts_for_a_month,
            sums_beyond_64_bits_break_neither_proof_nor_views_nor_retention,
            sums_that_no_column_holds_delay_nobody_and_are_quarantined_whole,
        }
    };
}
use behaviours;
