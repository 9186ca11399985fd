//! Which rule defends against which attack, and which test must notice when it is out.
//!
//! Attacks and promises are those of `spec/12-threats.md`.

use fingerpost_proto::canary::Canary;

/// A rule, what it is there for, and a test that fails without it.
pub(crate) struct Switch {
    pub(crate) canary: Canary,
    /// Numbers of attacks, and promises.
    pub(crate) against: &'static [&'static str],
    /// Target of the test: the name of a crate, for the tests inside it, or of a test program.
    pub(crate) target: &'static str,
    /// Name of the test, which the page names too.
    pub(crate) test: &'static str,
}

/// Attacks and promises without a switch of their own, and why.
pub(crate) const WITHOUT_SWITCH: &[(&str, &str)] = &[
    ("4", "there is no such call to take away: a test looks for the feature that would bring it"),
    ("33", "there is nothing to take away: a test looks for libraries that fetch"),
    ("40", "held by tests about the repository, each with an example that it must refuse"),
];

const fn switch(canary: Canary, against: &'static [&'static str], target: &'static str, test: &'static str) -> Switch {
    Switch { canary, against, target, test }
}

const PROTO: &str = "fingerpost_proto";
const DAEMON: &str = "fingerpost_daemon";
const CLI: &str = "fingerpost_cli";

/// All switches. A rule may stand here more than once.
pub(crate) const SWITCHES: &[Switch] = &[
    switch(Canary::Signature, &["1", "P1"], PROTO, "a_changed_byte_inside_a_text_is_a_bad_signature"),
    switch(Canary::StrictSignature, &["2", "28", "P3"], "conformance", "every_key_and_signature_is_judged_as_written"),
    switch(Canary::WeakKey, &["3"], PROTO, "a_weak_or_mixed_order_key_is_refused_on_a_card"),
    switch(
        Canary::Network,
        &["5", "P2"],
        PROTO,
        "versions_that_must_not_count_are_rejected_by_name_and_the_node_goes_on",
    ),
    switch(Canary::Owner, &["5", "P2"], PROTO, "records_of_other_publishers_kinds_audiences_and_names_have_other_ids"),
    switch(Canary::TooOld, &["6"], PROTO, "versions_that_must_not_count_are_rejected_by_name_and_the_node_goes_on"),
    switch(Canary::MergeRule, &["6", "P7"], "conformance", "the_winner_is_the_same_in_every_order"),
    switch(Canary::Level, &["7"], PROTO, "a_peer_of_another_level_is_told_to_upgrade_and_parted_from"),
    switch(
        Canary::HeadCover,
        &["8", "P14"],
        PROTO,
        "a_record_that_a_relay_withholds_or_rolls_back_is_noticed_and_looked_for_at_all_peers",
    ),
    switch(Canary::MergeTie, &["9", "P3"], "conformance", "the_winner_is_the_same_in_every_order"),
    switch(
        Canary::FarAhead,
        &["10", "P8"],
        PROTO,
        "a_version_dated_ahead_waits_outside_the_set_and_counts_when_it_is_due",
    ),
    switch(Canary::ClockOfNode, &["10", "P8"], CLI, "a_node_cannot_make_us_sign_for_the_far_future"),
    switch(Canary::ClockSeen, &["11"], CLI, "clocks_rise_from_version_to_version_and_beyond_what_the_node_has_seen"),
    switch(
        Canary::WaitForPeers,
        &["12", "P9"],
        PROTO,
        "a_copied_home_takes_records_of_its_admins_once_it_has_compared_with_a_peer_and_not_before",
    ),
    switch(
        Canary::Revocation,
        &["13–15", "P10"],
        PROTO,
        "what_a_revoked_device_signed_leaves_set_and_store_everywhere_also_what_it_signed_before",
    ),
    switch(
        Canary::CardRank,
        &["13–15", "P9"],
        PROTO,
        "of_two_successors_the_recovery_key_wins_over_root_keys_and_the_first_root_key_over_the_second",
    ),
    switch(Canary::Admission, &["16", "P15"], PROTO, "two_vouches_are_needed_where_the_charter_says_so"),
    switch(
        Canary::Strangers,
        &["16"],
        PROTO,
        "the_cards_of_256_strangers_are_remembered_and_of_more_those_with_the_lowest_ids",
    ),
    switch(Canary::LinkDraw, &["17"], PROTO, "a_victim_that_all_hostile_nodes_dial_keeps_mostly_honest_outbound_links"),
    switch(
        Canary::Quota,
        &["18", "P11"],
        PROTO,
        "more_records_than_the_quota_give_the_same_set_in_any_order_and_nothing_older_returns",
    ),
    switch(
        Canary::DayAllowance,
        &["18"],
        PROTO,
        "more_versions_than_a_days_wait_and_withdrawals_do_not_whatever_the_clock_does",
    ),
    switch(
        Canary::PushPace,
        &["18"],
        PROTO,
        "of_one_organisation_as_much_is_pushed_as_its_limit_says_and_the_rest_is_asked_for_later",
    ),
    switch(
        Canary::Burden,
        &["18", "P11"],
        PROTO,
        "a_peer_that_sends_for_nothing_is_cut_with_a_reason_after_its_last_unit_and_shut_out_for_a_while",
    ),
    switch(
        Canary::FrameSize,
        &["19"],
        PROTO,
        "a_peer_that_sends_an_oversized_or_unreadable_frame_loses_its_link_with_the_reason",
    ),
    switch(
        Canary::StatedSize,
        &["20", "P11"],
        PROTO,
        "a_payload_is_taken_at_the_limit_and_refused_before_it_is_allocated_beyond",
    ),
    switch(Canary::Streams, &["21"], DAEMON, "streams_beyond_the_limit_reach_no_handler_and_cost_the_connection"),
    switch(Canary::Seats, &["22", "P11"], DAEMON, "the_last_pending_handshake_is_taken_and_the_next_is_closed_at_once"),
    switch(Canary::ResetStreams, &["23"], DAEMON, "a_flood_of_opened_and_reset_streams_costs_the_connection"),
    switch(Canary::HeaderList, &["23"], DAEMON, "a_list_of_headers_beyond_its_limit_reaches_no_handler"),
    switch(
        Canary::AcceptErrors,
        &["24"],
        DAEMON,
        "running_out_of_file_handles_slows_the_loop_down_and_does_not_end_it",
    ),
    switch(Canary::Ranges, &["25"], PROTO, "ranges_are_accepted_at_the_limits_and_refused_beyond"),
    switch(Canary::SessionEnd, &["25", "P11"], PROTO, "a_peer_whose_replies_never_stop_asking_loses_its_link"),
    switch(
        Canary::DigestSalt,
        &["26"],
        PROTO,
        "two_entries_with_one_digest_in_a_session_have_different_ones_in_the_next",
    ),
    switch(Canary::OneByOne, &["27", "P12"], PROTO, "one_bad_version_among_many_does_not_hold_up_the_others"),
    switch(
        Canary::Addresses,
        &["29", "P16"],
        "hostile",
        "an_address_of_another_scheme_is_a_link_nowhere_not_even_if_a_node_let_it_in",
    ),
    switch(
        Canary::ForbiddenCharacters,
        &["30"],
        "hostile",
        "a_text_that_could_act_on_a_terminal_or_turn_a_line_around_is_in_no_record_and_on_no_card",
    ),
    switch(Canary::Formulas, &["31"], CLI, "a_formula_does_not_survive_into_the_csv_report"),
    switch(Canary::CalendarText, &["31", "P16"], DAEMON, "hostile_texts_cannot_add_lines_to_the_calendar"),
    switch(Canary::TerminalText, &["32", "P16"], CLI, "escapes_overrides_and_line_breaks_are_made_visible"),
    switch(
        Canary::LogText,
        &["32", "P16"],
        DAEMON,
        "an_event_is_one_line_without_dangerous_characters_whatever_is_in_it",
    ),
    switch(Canary::Audience, &["34", "P13"], PROTO, "members_records_go_only_to_nodes_of_known_members"),
    switch(Canary::AudienceInId, &["35"], CLI, "a_changed_audience_is_another_record_and_the_old_one_is_named"),
    switch(
        Canary::PublicFeed,
        &["34", "36", "P13"],
        "cluster",
        "no_public_output_differs_for_what_is_there_for_members",
    ),
    switch(
        Canary::KeyFileMode,
        &["37", "P17"],
        DAEMON,
        "a_key_file_that_others_can_read_is_refused_with_the_command_that_helps",
    ),
    switch(
        Canary::MemoryDumps,
        &["37", "P17"],
        "cluster",
        "a_crash_leaves_no_dump_of_the_memory_of_daemon_or_command_line",
    ),
    switch(
        Canary::AdminUser,
        &["38", "P17"],
        DAEMON,
        "another_user_is_turned_away_even_where_the_file_would_let_him_in",
    ),
    switch(
        Canary::FeedPace,
        &["39"],
        DAEMON,
        "an_address_is_answered_as_often_as_its_limit_says_and_then_told_when_to_ask_again",
    ),
    switch(Canary::SearchBound, &["39"], DAEMON, "a_search_reads_at_most_its_limit_and_says_so"),
    switch(Canary::ReaderLog, &["41"], "cluster", "no_log_feed_or_file_holds_a_readers_address_program_or_question"),
    switch(Canary::ObjectionQuorum, &["42", "P15"], PROTO, "a_founder_can_be_put_out_and_those_it_vouched_for_stay"),
    switch(
        Canary::DeviceOnCard,
        &["P15"],
        PROTO,
        "versions_that_must_not_count_are_rejected_by_name_and_the_node_goes_on",
    ),
    switch(Canary::Tombstone, &["6", "P6"], PROTO, "nothing_withdrawn_returns_from_a_node_that_slept_for_years"),
    switch(Canary::Receipt, &["P6"], PROTO, "a_receipt_is_asked_for_right_after_everything_was_made_durable"),
    switch(
        Canary::Durability,
        &["P5"],
        PROTO,
        "a_version_that_a_peer_brought_first_is_durable_before_an_admin_is_told_that_it_is_here",
    ),
    switch(
        Canary::RowProof,
        &["P18"],
        DAEMON,
        "a_row_whose_key_is_gone_is_damaged_and_its_own_version_comes_back_from_the_journal",
    ),
    switch(Canary::CatchUp, &["P4"], PROTO, "a_node_that_was_away_catches_up_with_edits_and_withdrawals"),
    switch(
        Canary::Witness,
        &["9", "P14"],
        PROTO,
        "who_meets_two_heads_of_one_moment_publishes_the_proof_and_everybody_comes_to_know_it_also_after_a_restart",
    ),
];
