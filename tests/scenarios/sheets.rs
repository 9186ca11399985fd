//! Spreadsheets that would withdraw by accident.

use super::Told;
use super::stage::{all, done, is_everywhere, refused, seconds, sheet, until, until_everywhere};
use crate::cluster::Cluster;

pub(super) fn half_a_spreadsheet() -> Told {
    let cluster = Cluster::found(2)?;
    let (office, nodes) = (&cluster.nodes[0], all(&cluster.nodes));
    let rows: Vec<(String, String)> = (0..40).map(|n| (format!("s{n}"), format!("Service number {n:02}"))).collect();
    let rows: Vec<(&str, &str, &str)> = rows.iter().map(|(id, name)| (id.as_str(), name.as_str(), "Come in")).collect();
    done(&office.import(&sheet(&rows))?);
    until_everywhere(&nodes, "Service number 39");
    let live = |wanted: u64| nodes.iter().try_fold(true, |all, node| Ok(all && node.status()?.sets[0].live == wanted));
    until("41 records at both", || live(41));

    // Somebody's filter hid half of the rows when the sheet was saved.
    let file = office.home().join("half.csv");
    std::fs::write(&file, sheet(&rows[..20])).unwrap();
    let file = file.display().to_string();
    done(&office.cli(&["import", &file])?);
    assert!(live(41)?, "an import never withdraws by itself");
    refused(&office.cli(&["import", &file, "--withdraw-missing"])?, 2, &["20", "--confirm"]);
    refused(&office.cli(&["import", &file, "--withdraw-missing", "--confirm", "1"])?, 2, &["20"]);
    assert!(live(41)?);
    // A broken row could be the reason that something is missing.
    let broken = office.home().join("broken.csv");
    std::fs::write(&broken, format!("{}service,nameless,,\n", sheet(&rows[..20]))).unwrap();
    let output = office.cli(&["import", &broken.display().to_string(), "--withdraw-missing", "--confirm", "20"])?;
    assert_ne!(output.code, 0, "{output:?}");
    assert!(live(41)?, "{output:?}");
    // Meant so, it is done.
    let begin = std::time::Instant::now();
    done(&office.cli(&["import", &file, "--withdraw-missing", "--confirm", "20"])?);
    until("21 records at both", || live(21));
    assert!(is_everywhere(&nodes, "Service number 19")?);
    Ok(format!("Refused 3 times; the 20 that were meant went within {}.", seconds(begin.elapsed())))
}
