//! Trains the compression dictionary on the project's own samples, checks it, or measures it:
//! `train-dictionary [--check | --measure]`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use fingerpost_tests::samples::{DICTIONARY_BYTES_MAX, measuring, train};

/// Sizes that `--measure` compares, in KiB.
const SIZES_KIB: [usize; 5] = [8, 16, 32, 64, 112];
/// Levels that `--measure` compares.
const LEVELS: [i32; 4] = [1, 3, 5, 7];
/// The level at which sizes are compared, as in `proto/src/compression.rs`.
const LEVEL: i32 = 3;

/// Trains the dictionary and writes it to spec/dictionary.
#[derive(Parser)]
struct Arguments {
    /// Write nothing; fail when the training would give another file.
    #[arg(long)]
    check: bool,
    /// Write nothing; print what dictionaries of several sizes do to records. Takes a minute in a release build.
    #[arg(long, conflicts_with = "check")]
    measure: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.measure { measure() } else { make(arguments.check) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/dictionary/versions-1.zdict")
}

fn make(is_check: bool) -> std::io::Result<()> {
    let dictionary = train(DICTIONARY_BYTES_MAX)?;
    if is_check {
        if std::fs::read(file())? != dictionary {
            let reason = "the training gives another dictionary than spec/dictionary/versions-1.zdict; if that is \
                          meant, it needs a new number, or every node must change at once";
            return Err(std::io::Error::other(reason));
        }
    } else {
        std::fs::write(file(), &dictionary)?;
    }
    println!("{} bytes, BLAKE3 {}", dictionary.len(), blake3::hash(&dictionary).to_hex());
    Ok(())
}

fn measure() -> std::io::Result<()> {
    let payloads = measuring::payloads()?;
    let print = |title: String, dictionary: &[u8], level| -> std::io::Result<()> {
        println!("\n{title}\n{}", measuring::header());
        measuring::report(&payloads, dictionary, level)?.iter().for_each(|line| println!("{line}"));
        Ok(())
    };
    print(format!("no dictionary, level {LEVEL}"), &[], LEVEL)?;
    for kib in SIZES_KIB {
        print(format!("{kib} KiB, level {LEVEL}"), &train(kib * 1024)?, LEVEL)?;
    }
    let dictionary = train(DICTIONARY_BYTES_MAX)?;
    for level in LEVELS {
        print(format!("{} KiB, level {level}", DICTIONARY_BYTES_MAX / 1024), &dictionary, level)?;
    }
    Ok(())
}
