//! Runs every vector of `spec/vectors` against this implementation, from the files alone, and compares the tables of
//! `spec/` with the source.
//!
//! A case of a `_valid` file must give exactly what it says, a case of an `_invalid` file exactly the error it names.

#![allow(clippy::unwrap_used)]

mod bodies;
mod cards;
mod heads;
mod node;
mod pair;
mod redactions;
mod tables;
mod vector;
mod wire;

use vector::Vectors;

#[test]
fn every_id_is_derived_as_written() {
    Vectors::read("ids_valid").each(wire::id);
    Vectors::read("ids_invalid").each_refused(wire::id_text);
}

#[test]
fn every_key_and_signature_is_judged_as_written() {
    Vectors::read("keys_valid").each_accepted(wire::key_or_signature);
    Vectors::read("keys_invalid").each_refused(wire::key_or_signature);
}

#[test]
fn every_envelope_is_read_as_written() {
    Vectors::read("version_valid").each(wire::version);
    Vectors::read("version_invalid").each_refused(wire::version_error);
}

#[test]
fn every_body_is_judged_as_written() {
    Vectors::read("record_valid").each(bodies::record);
    Vectors::read("record_invalid").each_refused(bodies::record_error);
}

#[test]
fn redactions_and_receipts_are_read_as_written() {
    Vectors::read("redaction_valid").each(redactions::read);
    Vectors::read("redaction_invalid").each_refused(redactions::refused);
}

#[test]
fn cards_charters_statements_and_invites_are_read_as_written() {
    Vectors::read("network_valid").each(bodies::network);
    Vectors::read("network_invalid").each_refused(bodies::network_error);
}

#[test]
fn of_an_organisations_cards_the_same_count_in_every_order() {
    Vectors::read("cards_valid").each(cards::succession);
    Vectors::read("cards_invalid").each_refused(cards::refused);
}

#[test]
fn a_head_covers_what_is_written_and_its_body_is_as_written() {
    Vectors::read("head_valid").each(heads::head);
    Vectors::read("head_invalid").each_refused(heads::refused);
}

#[test]
fn two_heads_of_one_moment_prove_what_is_written_and_nothing_else() {
    Vectors::read("equivocation_valid").each(heads::equivocation);
    Vectors::read("equivocation_invalid").each_refused(heads::no_equivocation);
}

#[test]
fn standings_follow_from_statements_as_written() {
    Vectors::read("members_valid").each(bodies::members);
}

#[test]
fn sets_and_ranges_are_as_written() {
    Vectors::read("set_valid").each(wire::set);
    Vectors::read("ranges_valid").each(wire::ranges);
    Vectors::read("ranges_invalid").each_refused(wire::ranges_error);
}

#[test]
fn frames_are_as_written_and_breaches_end_the_link() {
    Vectors::read("frames_valid").each(wire::frame);
    Vectors::read("frames_invalid").each(node::breach);
}

#[test]
fn the_winner_is_the_same_in_every_order() {
    Vectors::read("merge_valid").each(node::merge);
}

#[test]
fn a_node_receives_versions_as_written() {
    Vectors::read("receipt_valid").each(node::receipt);
    Vectors::read("receipt_invalid").each_refused(node::receipt_error);
}

#[test]
fn what_is_not_understood_is_relayed_byte_for_byte() {
    Vectors::read("relay_valid").each(node::relay);
}

#[test]
fn an_exchange_goes_as_written() {
    Vectors::read("exchange_valid").each(node::exchange);
}

#[test]
fn the_table_of_limits_is_the_source() {
    tables::limits();
}

#[test]
fn the_table_of_errors_is_the_source() {
    tables::errors();
}

#[test]
fn the_list_of_check_words_is_the_source() {
    tables::words();
}

#[test]
fn the_tables_of_fields_are_the_schema() {
    tables::fields();
}

#[test]
fn every_vector_file_is_listed_in_the_reading_order() {
    tables::files();
}

#[test]
fn every_example_of_a_page_is_from_a_vector() {
    tables::examples();
}

/// The same vectors, judged by a second implementation that was written from the pages.
#[test]
fn the_independent_check_agrees() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/independent.py");
    match std::process::Command::new("python3").arg(script).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert!(output.status.success(), "{}", said.concat());
        }
        Err(error) => eprintln!("SKIPPED: the independent check needs python3: {error}"),
    }
}
