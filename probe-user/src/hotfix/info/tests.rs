use serde_json::{Value, json};

use super::*;
use ::livepatch::made_node::{MadeNode, RELEASE};
use livepatch_image::samples::sample_file;

fn told(info: &Info) -> (Value, String) {
    let written = |json| {
        let mut out = Vec::new();
        info.write(json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    (
        serde_json::from_str(&written(true)).unwrap(),
        written(false),
    )
}

#[test]
fn a_file_is_told_by_itself_and_what_is_no_module_is_refused() {
    let node = MadeNode::new();
    let file = node.module("one_", 500);
    let info = of_file(&file, &node.site()).unwrap();
    let (document, text) = told(&info);
    assert_eq!(document["name"], "one_");
    assert_eq!(document["file"]["replaces"][0]["object"], "ip_vs");
    assert_eq!(
        (&document["installed"], &document["loaded"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        text.starts_with("name                one_\nsha256 "),
        "{text}"
    );
    assert!(of_file(&node.file("text", b"text"), &node.site()).is_err());
}

#[test]
fn a_name_is_told_by_its_file_its_installation_and_the_kernel() {
    let node = MadeNode::new();
    let of = |name: &str| of_name(&name.into(), &node.site()).unwrap();
    assert!(of("one_").is_none());
    let content = sample_file("one_", 500);
    let accepted = vec!["no-rearm".to_owned()];
    let record = Record::now(Digest::of(&content), "/from.ko".into(), accepted, None);
    let store = Store::of(&node.state_dir());
    for release in [RELEASE, "7.0"] {
        let place = Place {
            release: release.into(),
            name: "one_".into(),
        };
        store.put(&place, &content, &record).unwrap();
    }
    let (document, text) = told(&of("one_").unwrap());
    assert_eq!(document["installed"]["release"], RELEASE);
    assert_eq!(document["installed"]["accepted"], json!(["no-rearm"]));
    assert_eq!(document["installed"]["in_force"], false);
    assert_eq!(document["file"]["sha256"], document["installed"]["sha256"]);
    assert!(text.contains("accepted            no-rearm\n"), "{text}");
    node.put_in_force("one_", "ip_vs");
    node.note("one_", &content, "this", Phase::InForce);
    let (document, text) = told(&of("one_").unwrap());
    assert_eq!(document["installed"]["in_force"], true);
    let loaded = &document["loaded"];
    assert_eq!(
        (&loaded["taint"], &loaded["refcount"]),
        (&json!("OEK"), &json!(1))
    );
    assert_eq!(loaded["loaded_by"]["pid"], 7);
    assert_eq!(loaded["loaded_by"]["phase"], "in-force");
    assert!(
        text.contains("loaded by           ipvs-latency (process 7), from /root/one_.ko"),
        "{text}"
    );
}

#[test]
fn what_somebody_else_loaded_and_what_cannot_be_read_is_told() {
    let node = MadeNode::new();
    node.put_in_force("them", "nf_nat");
    let told_of = |name: &str| told(&of_name(&name.into(), &node.site()).unwrap().unwrap());
    let (document, text) = told_of("them");
    assert_eq!(
        (&document["file"], &document["loaded"]["loaded_by"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        text.starts_with("name                them\nstate               in force\n"),
        "{text}"
    );
    assert!(
        text.contains("estimation_timer of nf_nat") && text.contains("somebody else"),
        "{text}"
    );
    node.write("var/lib/state/journal.json", "{");
    node.write(&format!("var/lib/state/hotfixes/{RELEASE}/them.json"), "{");
    let (document, text) = told_of("them");
    assert_eq!(
        document["unknown"].as_array().unwrap().len(),
        3,
        "{document}"
    );
    assert!(text.contains("loaded by           unknown\n"), "{text}");
}
