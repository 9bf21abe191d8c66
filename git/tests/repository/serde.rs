//! Values as JSON.

use reftable::ObjectId;
use reftable_git::Head;

#[test]
fn a_head_is_text_in_json_and_comes_back() {
    let id: ObjectId = "2e6f9b0d5885b6010f9167787445617f553a735f".parse().unwrap();
    let kinds = [
        (Head::Detached { id }, format!(r#"{{"kind":"detached","id":"{id}"}}"#)),
        (
            Head::Branch { name: b"refs/heads/main".to_vec(), id },
            format!(r#"{{"kind":"branch","name":"refs/heads/main","id":"{id}"}}"#),
        ),
        (Head::Unborn { name: b"refs/heads/\xff".to_vec() }, r#"{"kind":"unborn","name":[114,"#.to_owned()),
    ];
    for (head, json) in kinds {
        let text = serde_json::to_string(&head).unwrap();
        assert!(text.starts_with(&json), "{text}");
        assert_eq!(serde_json::from_str::<Head>(&text).unwrap(), head);
    }
}
