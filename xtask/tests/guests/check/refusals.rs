//! Where `check` cannot measure: the facts that can be told, a sentence, and exit code 2.

use serde_json::{Value, json};
use xtask::{kernel::Line, lab::LabSpec, scenario};

use super::{ROOT, TRY, code, mitigation, namespace, page};

/// The root namespace of a page: its number is not the same on every kernel.
fn root(page: &Value) -> &Value {
    namespace(page, page["root_netns"].as_u64().unwrap())
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn without_ip_vs_the_page_says_how_to_load_it() {
    let script = format!(
        "{TRY}rmmod ip_vs_rr ip_vs
        try json 'ipvs-latency check --json'
        try text 'ipvs-latency check'"
    );
    let sections = scenario::run(LabSpec::default(), &script).unwrap();
    let page = page(&sections, "json");
    assert_eq!(
        (page["verdict"].as_str(), code(&sections, "json")),
        (Some("unknown"), 2)
    );
    assert_eq!(page["kernel"]["estimator"], "absent");
    assert_eq!(namespace(&page, ROOT)["state"], "ABSENT");
    assert_eq!(code(&sections, "text"), 2);
    let text = sections.text("text").unwrap();
    assert!(
        text.starts_with("unknown: the module ip_vs is not loaded"),
        "{text}"
    );
    assert!(text.contains("modprobe ip_vs"), "{text}");
}

/// The facts of a kernel that cannot be measured, with 10 services of 2 destinations in the root namespace.
fn told_of(kernel: Line, script: &str) -> Option<(Value, String)> {
    if !scenario::available(kernel) {
        return None;
    }
    let spec = LabSpec {
        kernel,
        services: 10,
        destinations: 2,
        netns: 1,
        ..LabSpec::default()
    };
    let script = format!(
        "{TRY}{script}
        try json 'ipvs-latency check --json --max 1ms'
        try text 'ipvs-latency check'
        echo == release; uname -r"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let page = page(&sections, "json");
    assert_eq!(
        (page["verdict"].as_str(), code(&sections, "json")),
        (Some("unknown"), 2)
    );
    assert_eq!(code(&sections, "text"), 2);
    assert_eq!(
        page["kernel"]["release"],
        sections.text("release").unwrap().trim()
    );
    assert_eq!(page["kernel"]["possible_cpus"], 2);
    let root = root(&page);
    assert_eq!(
        (&root["services"], &root["destinations"]),
        (&json!(10), &json!(20))
    );
    assert_eq!(
        (&root["who"], &root["next_run_in_ns"]),
        (&json!("host"), &Value::Null)
    );
    assert_eq!(page["namespaces"].as_array().unwrap().len(), 2);
    assert_eq!(page["missing"].as_array().unwrap().len(), 1, "{page}");
    let text = sections.text("text").unwrap().to_owned();
    assert!(text.starts_with("unknown: "), "{text}");
    Some((page, text))
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn kernel_5_10_has_the_timer_and_it_cannot_be_measured_yet() {
    let Some((page, text)) = told_of(Line::V5_10, "") else {
        return;
    };
    assert_eq!(page["kernel"]["estimator"], "timer");
    let root = root(&page);
    assert_eq!(
        (&root["state"], &root["run_estimation"]),
        (&Value::Null, &Value::Null)
    );
    assert!(text.contains("/sys/kernel/btf/ip_vs"), "{text}");
    mitigation(&page, "newer_kernel");
    let open = page["mitigations"].as_array().unwrap();
    assert!(
        open.iter().all(|one| one["name"] != "run_estimation"),
        "there is no such switch: {page}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn kernel_6_12_has_kernel_threads_and_nothing_needs_doing() {
    let Some((page, text)) = told_of(Line::V6_12, "echo 0 > /proc/sys/net/ipv4/vs/run_estimation")
    else {
        return;
    };
    assert_eq!(page["kernel"]["estimator"], "kthread");
    let root = root(&page);
    assert_eq!(
        (&root["state"], &root["run_estimation"]),
        (&json!("KTHREAD"), &json!(0))
    );
    assert_eq!(page["mitigations"], json!([]));
    assert!(text.contains("kernel threads"), "{text}");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn bad_arguments_and_outputs_are_told_in_a_sentence() {
    let script = format!(
        "{TRY}try zero 'ipvs-latency check --max 0'
        try short 'ipvs-latency check --max 1ms --duration 1s'
        try alone 'ipvs-latency check -c 5ms'
        try full 'ipvs-latency check > /dev/full'
        try closed '{{ ipvs-latency check; echo $? > /tmp/code; }} | true; cat /tmp/code'
        try unprivileged 'setpriv --bounding-set=-sys_admin,-perfmon ipvs-latency check --json'"
    );
    let sections = scenario::run(LabSpec::default(), &script).unwrap();
    for (name, words) in [
        ("zero", &["--max", "zero", "500us"][..]),
        ("short", &["--duration 1s", "2s 600ms"]),
        ("alone", &["--format nagios", "hint: use --max"]),
        ("full", &["standard output", "No space left"]),
    ] {
        let said = sections.text(&format!("{name} err")).unwrap();
        assert_eq!(code(&sections, name), 2, "{name}: {said}");
        for word in words {
            assert!(said.contains(word), "{name}: no {word:?} in {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
    assert_eq!(sections.text("closed").unwrap().trim(), "0");
    assert_eq!(sections.text("closed err").unwrap(), "");
    let page = page(&sections, "unprivileged");
    assert_eq!(code(&sections, "unprivileged"), 2);
    assert!(
        page["missing"][0].as_str().unwrap().contains("CAP_PERFMON"),
        "{page}"
    );
    assert_eq!(page["kernel"]["estimator"], "timer");
}
