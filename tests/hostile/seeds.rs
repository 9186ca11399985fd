//! Seeds of the fuzz targets, made from `spec/vectors`, the template and the example files.

use fingerpost_proto::v1;
use prost::Message;
use serde_json::Value;

use crate::fuzz::cast::CAST;
use crate::fuzz::request::PATHS;
use crate::vector::{bytes_of, spec};

/// Cases of a vector file that have this field, with its bytes.
fn cases(file: &str, field: &str) -> Vec<(Value, Vec<u8>)> {
    let text = std::fs::read_to_string(spec("vectors").join(format!("{file}.json"))).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases =
        file["cases"].as_array().unwrap().iter().filter(|case| case[field].is_string() || case[field].is_array());
    cases.map(|case| (case.clone(), bytes_of(&case[field]))).collect()
}

fn fields(files: &[&str], field: &str) -> Vec<Vec<u8>> {
    files.iter().flat_map(|file| cases(file, field)).map(|(_, bytes)| bytes).collect()
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

/// A length of two bytes and the bytes.
fn part(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

pub(crate) fn envelopes() -> Vec<Vec<u8>> {
    fields(&["version_valid", "version_invalid", "receipt_valid"], "envelope")
        .into_iter()
        .chain(CAST.pool.clone())
        .collect()
}

pub(crate) fn bodies() -> Vec<Vec<u8>> {
    let cases = ["record_valid", "record_invalid"].iter().flat_map(|file| cases(file, "body"));
    let tag = |case: &Value| match case["kind"].as_u64() {
        Some(kind @ 1..=4) => kind as u8 - 1,
        _ => 4,
    };
    // The largest vectors are all of one character; a fuzzer makes such by itself.
    let short = cases.filter(|(_, body)| body.len() < 4_096);
    short.map(|(case, body)| tagged(tag(&case), &body)).collect()
}

pub(crate) fn network() -> Vec<Vec<u8>> {
    let files = ["network_valid", "network_invalid"];
    let mut seeds = Vec::new();
    for (tag, field) in [(0, "card"), (1, "charter")] {
        seeds.extend(fields(&files, field).iter().filter(|bytes| bytes.len() < 4_096).map(|bytes| tagged(tag, bytes)));
    }
    for file in files {
        let text = std::fs::read_to_string(spec("vectors").join(format!("{file}.json"))).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let codes = file["cases"].as_array().unwrap().iter().filter_map(|case| case["code"].as_str());
        seeds.extend(codes.map(|code| tagged(3, code.as_bytes())));
    }
    for version in &CAST.welcome {
        let kind = version.header().kind.0.wrapping_sub(0x8001) as u8;
        seeds.push([&[5, kind], version.body()].concat());
        let acceptance = v1::Acceptance::decode(version.body()).ok();
        seeds.extend(acceptance.and_then(|acceptance| acceptance.invitation).map(|it| tagged(2, &it.encode_to_vec())));
    }
    for subject in [vec![], vec![0x0a, 32]] {
        let body = [subject, vec![7; 32]].concat();
        seeds.extend((0..6).map(|kind| [&[5, kind], body.as_slice()].concat()));
    }
    seeds
}

pub(crate) fn frames() -> Vec<Vec<u8>> {
    let mut seeds = fields(&["frames_valid", "frames_invalid"], "frame");
    seeds.retain(|frame| frame.len() < 65_536);
    seeds
}

pub(crate) fn lists() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (case, ranges) in ["ranges_valid", "ranges_invalid"].iter().flat_map(|file| cases(file, "ranges")) {
        let lower = if case["lower"].is_null() { Vec::new() } else { bytes_of(&case["lower"]) };
        seeds.push([&[0, lower.len() as u8], lower.as_slice(), &ranges].concat());
    }
    for frame in frames() {
        use fingerpost_proto::node::read_frame;
        use fingerpost_proto::v1::frame::Content;
        match read_frame(&frame) {
            Ok(Content::Want(want)) => seeds.push(tagged(1, &want.keys)),
            Ok(Content::Offer(offer)) => seeds.push(tagged(2, &offer.pairs)),
            Ok(Content::Compressed(frame)) => {
                seeds.push([&[3], frame.payload_bytes.to_be_bytes().as_slice(), &frame.data].concat());
            }
            _ => {}
        }
    }
    seeds
}

/// Histories by hand: each does one thing thoroughly, so that a fuzzer has something to join together.
pub(crate) fn histories() -> Vec<Vec<u8>> {
    let connect = |peer: u8| vec![0, peer, 0];
    let hello = |peer: u8| vec![3, peer, 0, 0, 0, 0, 0];
    let greet = |peer: u8| [connect(peer), hello(peer)].concat();
    let link = vec![17, 0];
    let bring = vec![12, 12, 12];
    let publish = |machine: u8, which: &[u8]| [&[4, machine, which.len() as u8], which].concat();
    let tick = |quarters: u8| vec![5, quarters];
    let content = |peer: u8, audience: u8, kind: u8, more: &[u8]| [&[3, peer, audience, kind], more].concat();
    let mut seeds = vec![
        [link.clone(), bring.clone(), publish(0, &[0, 1, 2]), bring.clone(), tick(8), bring.clone()].concat(),
        [publish(0, &[0, 3, 9, 30]), publish(1, &[8, 11, 40]), link.clone(), bring.clone(), tick(20), bring.clone()]
            .concat(),
        [link.clone(), bring.clone(), vec![8, 0, 5], tick(40), bring.clone(), vec![15, 0], link.clone(), bring.clone()]
            .concat(),
        [link.clone(), bring.clone(), vec![6, 0x20, 0], bring.clone(), vec![6, 0xe0, 0], bring.clone(), tick(9)]
            .concat(),
        [greet(0), greet(1), greet(2), tick(40), vec![13, 0, 14, 1], publish(0, &[0]), vec![14, 0], tick(4)].concat(),
        [greet(0), vec![1, 0], greet(0), vec![7, 0], vec![9, 2, 0], vec![10, 4], tick(250), tick(250)].concat(),
        [
            link.clone(),
            bring.clone(),
            greet(0),
            vec![16, 0, 1, 0, 0, 0],
            vec![16, 0, 2, 0, 9, 1],
            tick(4),
            bring.clone(),
        ]
        .concat(),
    ];
    let pool = |which: [u8; 3]| [&[3], which.as_slice(), &[0]].concat();
    for which in [[0, 1, 2], [64, 65, 66], [70, 71, 72], [73, 74, 75], [76, 78, 80], [81, 82, 83]] {
        seeds.push(
            [greet(0), content(0, 0, 1, &pool(which)), vec![13, 0], tick(8), link.clone(), bring.clone()].concat(),
        );
    }
    let others: [(u8, &[u8]); 12] = [
        (3, &[0, 1, 0, 0, 0]),
        (6, &[0, 1, 1]),
        (7, &[0, 1, 0, 0]),
        (8, &[0, 1, 0, 0, 0]),
        (9, &[0, 1, 0, 0, 3, 0, 0]),
        (10, &[0, 1, 0, 1, 255]),
        (11, &[0, 1, 0, 1, 1]),
        (12, &[0, 1, 2]),
        (13, &[3, 5]),
        (14, &[0, 1]),
        (15, &[0]),
        (15, &[2, 1]),
    ];
    for (kind, more) in others {
        seeds.push([greet(0), content(0, 1, kind, more), tick(8), content(0, 0, kind, more), tick(8)].concat());
    }
    seeds
}

pub(crate) fn files() -> Vec<Vec<u8>> {
    let template = fingerpost_cli::import::template();
    let header = template.lines().next().unwrap();
    let mut seeds = vec![tagged(0, template.as_bytes()), tagged(1, template.as_bytes())];
    for line in template.lines().skip(1) {
        seeds.push(tagged(0, format!("{header}\n{line}\n").as_bytes()));
    }
    seeds.push(tagged(0, header.replace(',', ";").as_bytes()));
    seeds.push(tagged(0, &template.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()));
    for text in [
        r#"[{"id":"a","name":"A","status":"active","organization":{"id":"o","name":"O","description":"D"}}]"#,
        r#"{"contents":[{"id":"a","name":"A","schedules":[{"freq":"WEEKLY","byday":"MO","opens_at":"09:00"}]}]}"#,
        r#"{"organizations":[{"id":"o","name":"O","description":"D"}],"services":[]}"#,
        "name\n\"unclosed",
        "PK\u{3}\u{4}",
    ] {
        seeds.push(tagged(0, text.as_bytes()));
    }
    seeds
}

pub(crate) fn requests() -> Vec<Vec<u8>> {
    let queries =
        ["", "?page=2&per_page=3", "?search=food%20bank&lang=ar", "?modified_after=2026-03-01", "?q=%00%ff&kind=event"];
    let header = |name: u8, value: &str| [&[name], part(value.as_bytes()).as_slice()].concat();
    let headers = [
        header(0, "text/html"),
        header(1, "fa-AF, ar;q=0.5, *;q=0.1"),
        header(2, "feed.example:8080"),
        header(3, "\"abc\", W/\"def-gzip\""),
    ]
    .concat();
    let mut seeds = Vec::new();
    for (place, _) in PATHS.iter().enumerate() {
        for query in queries {
            seeds.push([&[place as u8], part(query.as_bytes()).as_slice(), &headers].concat());
        }
    }
    seeds
}

pub(crate) fn configs() -> Vec<Vec<u8>> {
    let example = include_str!("../../daemon/fingerpostd.example.toml");
    let all: Vec<&str> = example.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect();
    let mut seeds = vec![example.as_bytes().to_vec(), all.join("\n").into_bytes()];
    for text in [
        "[peer]\nlisten = \"off\"",
        "[peer]\nadvertise = [\"a:1\", \"b:2\"]",
        "[[peer.dial]]\naddress = \"a:1\"\nnode_key = \"00\"",
        "[feed]\nbase_url = \"https://help.example\"",
        "[store]\ncache_mib = 8\nreserve_mib = 65536",
        "[log]\nformat = \"json\"\nlevel = \"info,x=debug\"",
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}
