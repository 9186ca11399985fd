//! The daemon as a process: signals, locks, disks.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fingerpost_tests::cluster::{Cluster, Node, NodeOptions, Publisher, service, wait_until};
use fingerpost_tests::power::SmallDisk;
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn a_sigterm_stops_the_daemon_cleanly_and_its_peer_is_told() {
    let mut cluster = Cluster::found(2).unwrap();
    wait_until(Duration::from_secs(5), || Ok(cluster.nodes[0].status()?.links == 1)).unwrap();
    let begin = Instant::now();
    let status = cluster.nodes[1].terminate().unwrap();
    assert!(status.success(), "{status}");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    assert!(!cluster.nodes[1].socket().exists(), "the socket goes with the daemon");
    assert!(cluster.nodes[1].log_end().contains("node has stopped"));
    wait_until(Duration::from_secs(2), || Ok(cluster.nodes[0].status()?.links == 0)).unwrap();
    let refused = cluster.nodes[1].cli(&["status"]).unwrap();
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("fingerpostd run --home"), "{}", refused.stderr);
    cluster.nodes[1].launch().unwrap();
    cluster.wait_until_equal(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_sigterm_does_not_wait_for_an_admin_who_keeps_a_connection_open() {
    let mut cluster = Cluster::found(1).unwrap();
    let node = &mut cluster.nodes[0];
    let publisher = Publisher::open(node, node).unwrap();
    let begin = Instant::now();
    assert!(node.terminate().unwrap().success());
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    drop(publisher);
}

#[test]
fn a_second_daemon_on_one_home_is_refused_and_the_first_goes_on() {
    let cluster = Cluster::found(1).unwrap();
    let node = &cluster.nodes[0];
    let second = node.daemon_command().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    let error = said.lines().find(|line| line.starts_with("Error:")).unwrap_or_else(|| panic!("{said}"));
    assert!(error.contains("another") || error.contains("in use") || error.contains("locked"), "{error}");
    assert!(error.contains(&node.home().display().to_string()), "{error}");
    assert_eq!(node.status().unwrap().members, 1);
    Publisher::open(node, node).unwrap().publish(&[service("still", "Still here")]).unwrap();
}

/// Takes the disk's room until less than `left_bytes` are free.
fn fill(path: &Path, left_bytes: u64) {
    let mut file = std::fs::File::create(path).unwrap();
    let free = || {
        let stat = rustix::fs::statvfs(path.parent().unwrap()).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    while free() > left_bytes {
        file.write_all(&[1; 64 * 1024]).unwrap();
    }
}

#[test]
fn a_full_disk_is_said_plainly_and_survived() {
    let disk = match SmallDisk::new(192 << 20) {
        Ok(disk) => disk,
        Err(why) => {
            eprintln!("SKIPPED: no small disks on this machine: {why}");
            return;
        }
    };
    let options = NodeOptions {
        parent: Some(disk.path().to_owned()),
        more: "[store]\nreserve_mib = 32\n".to_owned(),
        ..NodeOptions::default()
    };
    let mut node = Node::start_with("Small", &options).unwrap();
    node.ok(&["init", "--name", "Small", "--yes"]).unwrap();
    node.ok(&["network", "create", "--name", "Net", "--purpose", "Small", "--yes"]).unwrap();
    let mut publisher = Publisher::open(&node, &node).unwrap();
    publisher.publish(&[service("before", "Before")]).unwrap();
    let rubbish = disk.path().join("rubbish");
    fill(&rubbish, 16 << 20);

    wait_until(Duration::from_secs(10), || Ok(node.status()?.json["read_only_reason"] != "")).unwrap();
    let refused = publisher.publish(&[service("during", "During")]).unwrap_err().to_string();
    assert!(refused.contains("disk full") && refused.contains("free some"), "{refused}");
    let output = node.cli(&["import", "/dev/null"]).unwrap();
    assert_ne!(output.code, 3, "the node answers: {output:?}");
    assert!(node.feed("/services").unwrap().text().contains("Before"), "reading goes on");

    // Restarted on the full disk it still reads.
    drop(publisher);
    node.kill_nine();
    node.launch().unwrap();
    assert_ne!(node.status().unwrap().json["read_only_reason"], "");
    assert!(node.feed("/services").unwrap().text().contains("Before"));

    // With room again it takes versions, without anybody restarting it.
    std::fs::remove_file(rubbish).unwrap();
    wait_until(Duration::from_secs(10), || Ok(node.status()?.json["read_only_reason"] == "")).unwrap();
    Publisher::open(&node, &node).unwrap().publish(&[service("after", "After")]).unwrap();
    assert_eq!(node.status().unwrap().sets[0].live, 2);
    drop(node);
}

/// Runs a program with core dumps allowed and crashes it once it is ready. Its working folder is `folder`.
fn crashed(command: &Command, folder: &Path, is_ready: impl Fn() -> bool) -> ExitStatus {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    wait_until(Duration::from_secs(20), || Ok(is_ready())).unwrap();
    kill_process(process, Signal::ABORT).unwrap();
    child.wait().unwrap()
}

#[test]
fn a_crash_leaves_no_dump_of_the_memory_of_daemon_or_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let a_while = || begin.elapsed() > Duration::from_millis(500);
    let mut sleep = Command::new("sleep");
    if !crashed(sleep.arg("60"), folder.path(), a_while).core_dumped() {
        eprintln!("SKIPPED: this machine writes no core dumps at all");
        return;
    }
    let node = Node::prepare("Crashing", &NodeOptions::default()).unwrap();
    let is_running = || node.cli(&["status"]).unwrap().code == 0;
    let status = crashed(&node.daemon_command(), folder.path(), is_running);
    assert!(status.signal() == Some(6) && !status.core_dumped(), "fingerpostd: {status}");
    // It waits for the words on standard input, with the root key's place already looked up.
    let cluster = Cluster::found(1).unwrap();
    let begin = Instant::now();
    let a_while = || begin.elapsed() > Duration::from_secs(2);
    let status = crashed(&cluster.nodes[0].cli_command(&["recover"]), folder.path(), a_while);
    assert!(status.signal() == Some(6) && !status.core_dumped(), "fingerpost: {status}");
}
