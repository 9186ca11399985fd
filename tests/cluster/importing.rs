//! Import through the real command line.

use fingerpost_tests::cluster::Cluster;

#[test]
fn the_import_lists_rejected_rows_with_file_row_column_and_reason_publishes_the_rest_and_exits_with_one() {
    let cluster = Cluster::found(1).unwrap();
    let node = &cluster.nodes[0];
    let sheet = "kind,id,name,description,minimum_age\n\
        organisation,us,Lantern Welcome,We welcome.,\n\
        service,good,Advice drop-in,,16\n\
        service,bad-age,Homework club,,sixteen\n\
        service,nameless,,,\n";
    let output = node.import(sheet).unwrap();
    assert_eq!(output.code, 1, "{output:?}");
    let report = output.json();
    let problems = report["files"]["problems"].as_array().unwrap();
    let errors: Vec<_> = problems.iter().filter(|problem| problem["severity"] == "error").collect();
    assert_eq!(errors.len(), 2, "{report}");
    let age = errors[0];
    assert!(age["file"].as_str().unwrap().ends_with("import.csv"), "{age}");
    assert_eq!((&age["row"], &age["column"], &age["found"]), (&4.into(), &"minimum_age".into(), &"sixteen".into()));
    assert!(!age["reason"].as_str().unwrap().is_empty() && !age["fix"].as_str().unwrap().is_empty(), "{age}");
    assert_eq!((&errors[1]["row"], &errors[1]["column"]), (&5.into(), &"name".into()));
    assert_eq!((&report["new"], &report["files"]["rows_rejected"]), (&2.into(), &2.into()));
    assert_eq!(node.status().unwrap().sets[0].live, 2);

    let path = node.home().join("import.csv").display().to_string();
    let table = node.cli(&["import", &path]).unwrap();
    assert_eq!(table.code, 1);
    let said = format!("{}{}", table.stdout, table.stderr);
    for part in ["import.csv", "minimum_age", "sixteen"] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[test]
fn confirm_and_withdraw_by_local_id_work_and_a_second_import_changes_nothing() {
    let cluster = Cluster::found(1).unwrap();
    let node = &cluster.nodes[0];
    let sheet = "kind,id,name,description\norganisation,us,Lantern,We welcome.\nservice,advice,Advice drop-in,\nservice,clothes,Clothes store,\n";
    assert_eq!(node.import(sheet).unwrap().json()["new"], 3);
    let again = node.import(sheet).unwrap();
    assert_eq!((again.code, &again.json()["new"], &again.json()["unchanged"]), (0, &0.into(), &3.into()));
    assert_eq!(node.json(&["confirm", "service:advice"]).unwrap()["confirmed"], 1);
    assert_eq!(node.cli(&["withdraw", "service:clothes", "--confirm", "2"]).unwrap().code, 2);
    assert_eq!(node.json(&["withdraw", "service:clothes", "--confirm", "1"]).unwrap()["withdrawn"], 1);
    let status = node.status().unwrap();
    assert_eq!((status.sets[0].live, status.sets[0].withdrawn), (2, 1));
}
