use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use proptest::prelude::*;

use super::*;
use crate::property;

/// What `read` gives, and the mistakes as they are displayed.
fn reading<T>(text: &str, read: impl FnOnce(&Section<'_>) -> T) -> (T, Vec<String>) {
    let document = Document::parse(text, "f");
    let value = read(&document.root());
    (value, document.into_findings().0.iter().map(Mistake::to_string).collect())
}

fn mistakes(text: &str) -> Vec<String> {
    reading(text, |root| drop(root.value("a"))).1
}

#[test]
fn a_mistake_says_where_it_is_and_what_is_accepted() {
    let (_, found) = reading("list:\n  - {one: 10.0.0.5}\n", |root| {
        root.list("list").unwrap()[0].section().optional::<Duration>("one")
    });
    let expected = r#"f:2:11: list[0].one: "10.0.0.5" is not a duration; accepted: a duration such as "250ms", "30s", "5m" or "24h""#;
    assert_eq!(found, [expected]);
}

#[test]
fn plain_words_mean_what_yaml_1_2_says() {
    let text = |yaml: &str| reading(yaml, |root| root.optional::<String>("a")).0;
    for word in ["off", "no", "yes", "on", "N", "1.2.3", "12h", "0b1", "1_000", "inf", "e5", "2001-01-01"] {
        assert_eq!(text(&format!("a: {word}")).as_deref(), Some(word));
    }
    for number in ["42", "-1", "1.5", "1e3", "0x1F", "0o17", "007", ".5", ".inf", "-.INF", "true", "False"] {
        assert_eq!(text(&format!("a: {number}")), None, "{number}");
        assert_eq!(text(&format!("a: '{number}'")).as_deref(), Some(number));
        assert_eq!(text(&format!("a: !!str {number}")).as_deref(), Some(number));
    }
    for nothing in ["", "~", "null", "Null", "NULL"] {
        assert_eq!(reading(&format!("a: {nothing}"), |root| root.nullable::<String>("a")).0, Some(None), "{nothing}");
    }
    assert_eq!(text("a: ''").as_deref(), Some(""));
}

#[test]
fn leaves_take_what_they_say_they_accept() {
    fn read<T: FromYaml>(value: &str) -> Option<T> {
        reading(&format!("a: {value}"), |root| root.optional("a")).0
    }
    let durations =
        [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h 30m", 5_400_000), ("'2s'", 2_000), ("0s", 0)];
    for (text, millis) in durations {
        assert_eq!(read(text), Some(Duration::from_millis(millis)), "{text}");
    }
    for bad in ["30", "1.5", "-1s", "5 parsecs", "''", "99999999999999999999h", "[]", "1s1"] {
        assert_eq!(read::<Duration>(bad), None, "{bad}");
    }
    for (text, bytes) in [("64KiB", 65_536), ("1.5GiB", 1_610_612_736), ("4096", 4096), ("1MB", 1_000_000), ("0", 0)] {
        assert_eq!(read(text), Some(ByteSize(bytes)), "{text}");
    }
    for bad in ["-1", "KiB", "1.2.3KiB", "big", "''", "..", "1 kibi"] {
        assert_eq!(read::<ByteSize>(bad), None, "{bad}");
    }
    for bad in ["8080", ":8080", "10.0.0.1", "a:80", "10.0.0.1:0", "10.0.0.1:65536", "::1:80"] {
        assert_eq!(read::<SocketAddr>(bad), None, "{bad}");
    }
    assert_eq!(read("'[::1]:80'"), Some(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80))));
    assert_eq!((read::<u16>("65535"), read::<u16>("65536"), read::<u16>("'1'")), (Some(65_535), None, None));
    assert_eq!(read::<u64>("99999999999999999999999999999999999999999999"), None);
    assert_eq!((read("0.5"), read("1"), read::<f64>(".nan")), (Some(0.5), Some(1.0), None));
}

#[test]
fn keys_nobody_asked_for_are_mistakes_that_name_the_nearest() {
    let (_, found) = reading("hosst: []\nz: 1\n", |root| root.leaves::<String>("hosts"));
    assert_eq!(found, ["f:1:1: hosst: unknown key; did you mean `hosts`?", "f:2:1: z: unknown key; accepted: hosts"]);
}

#[test]
fn a_mistake_is_one_line_whatever_the_keys_are() {
    let ((), found) = reading("\"a\\nf:9:9: b\\e[31m\": 1\n", |root| drop(root.value("x")));
    assert_eq!(found, [r"f:1:1: a\nf:9:9: b\u{1b}[31m: unknown key; accepted: x"]);
}

#[test]
fn a_misspelt_key_that_must_be_there_is_one_mistake() {
    let (_, found) = reading("ulr: x\n", |root| root.required::<String>("url"));
    assert_eq!(found, ["f:1:1: ulr: unknown key; did you mean `url`?"]);
    let (_, found) = reading("url: ~\n", |root| root.required::<String>("url"));
    assert_eq!(found, ["f:1:6: url: missing; accepted: text"]);
}

#[test]
fn merge_keys_fill_in_what_is_not_there() {
    let text = "b: &b {x: 1, y: 2}\nc: &c {y: 3, z: 4}\na: {<<: [*b, *c], x: 5}\n";
    let (values, found) = reading(text, |root| {
        drop((root.value("b"), root.value("c")));
        let a = root.section("a");
        ["x", "y", "z"].map(|key| a.optional::<u16>(key))
    });
    assert_eq!((values, found), ([Some(5), Some(2), Some(4)], Vec::new()));
}

#[test]
fn what_an_alias_repeats_is_said_once() {
    let text = "a: &a {x: bad}\nb: *a\n";
    let read = |root: &Section<'_>| ["a", "b"].map(|key| root.section(key).optional::<u16>("x"));
    let (_, found) = reading(text, read);
    assert_eq!(found, [r#"f:1:11: a.x: "bad" is not a whole number; accepted: a whole number"#]);
}

#[test]
fn syntax_errors_are_one_mistake_with_a_place() {
    let cases = [
        ("a: [1, 2\nb: 3", "f:2:2: not YAML"),
        ("a: 'x", "f:1:4: not YAML"),
        ("a: *no", "f:1:4: not YAML"),
        ("a: b: c", "f:1:5: not YAML"),
        ("a:\n\tb: 1", "f:2:2: not YAML"),
        ("@", "f:1:1: not YAML"),
        ("a: [", "f:1:5: not YAML"),
        ("a: [\n", "f:2:1: not YAML"),
        ("b: 1\ra: {", "f:2:5: not YAML"),
        ("b: 1\r\na: x\0y", "f:2:5: the control character U+0000"),
        ("b: 1\ra: x\0y", "f:2:5: the control character U+0000"),
        ("a: x\0y", "f:1:5: the control character U+0000"),
        ("a: 1\n---\na: 2", "f:2:1: a second document"),
        ("a: &x [*x]", "f:1:8: a[0]: an alias of what holds it"),
    ];
    for (text, start) in cases {
        let found = mistakes(text);
        assert!(found.len() == 1 && found[0].starts_with(start), "{text:?}: {found:?}");
    }
}

#[test]
fn what_is_missing_at_the_end_is_missed_behind_the_last_character() {
    for (text, place) in [("a: {&x ", "f:1:8: "), ("a: {&x \n", "f:2:1: "), ("\r{&x", "f:2:4: ")] {
        let found = mistakes(text);
        assert!(!found.is_empty() && found.iter().all(|mistake| mistake.starts_with(place)), "{text:?}: {found:?}");
    }
}

#[test]
fn depth_is_bounded_through_aliases_too() {
    let mut text = String::from("a0: &a0 []\n");
    for i in 1..10_000 {
        text += &["a", &i.to_string(), ": &a", &i.to_string(), " [*a", &(i - 1).to_string(), "]\n"].concat();
    }
    assert!(mistakes(&text).iter().any(|mistake| mistake.contains("nested too deep")));
    for open in ["[", "{a: ", "- ", "? ", "[{"] {
        assert!(!mistakes(&open.repeat(20_000)).is_empty(), "{open}");
    }
}

#[test]
fn what_aliases_repeat_is_bounded() {
    let double = |i: usize| format!("a{}: &a{} [*a{i}, *a{i}]\n", i + 1, i + 1);
    let doubled = format!("a0: &a0 [x, x]\n{}", (0..60).map(double).collect::<String>());
    let keys: Vec<_> = (0..1000).map(|i| format!("k{i}: 0")).collect();
    let merged = format!("x: &x {{{}}}\na:\n{}", keys.join(", "), "  - {<<: *x}\n".repeat(300));
    for (text, line) in [(&doubled, 16), (&merged, 252)] {
        let found = mistakes(text);
        assert!(found.len() == 1 && found[0].starts_with(&format!("f:{line}:")), "{found:?}");
        assert!(found[0].contains("repeat too much"), "{found:?}");
    }
    assert_eq!(mistakes(&format!("a: [&x {{y: 0}}{}]\n", ", *x".repeat(100_000))), Vec::<String>::new());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_content() {
    let document = Document::parse_bytes("\u{feff}a: 1\r\nb: two\r\n".as_bytes(), "f");
    let root = document.root();
    assert_eq!((root.optional("a"), root.optional::<String>("b").as_deref()), (Some(1_u16), Some("two")));
}

/// Text that looks like YAML often enough to get past the first line.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just("b: "),
        Just(": "),
        Just("- "),
        Just("\n"),
        Just("\n  "),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(", "),
        Just("&x "),
        Just("*x"),
        Just("<<: "),
        Just("!!str "),
        Just("!t "),
        Just("'"),
        Just("\""),
        Just("|\n"),
        Just(">-\n"),
        Just("? "),
        Just("#"),
        Just("---\n"),
        Just("...\n"),
        Just("%YAML 1.2\n"),
        Just("\t"),
        Just("\r"),
        Just("~"),
        Just("\\x"),
        Just("é"),
        Just("\u{85}"),
        Just("\u{feff}"),
        Just("12"),
        Just("@"),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Files that are right, and one with ten mistakes.
const FILES: [&str; 5] = [
    include_str!("../../tests/golden/config/every-key.yaml"),
    include_str!("../../tests/golden/config/merged.yaml"),
    include_str!("../../tests/golden/config/ten-mistakes.yaml"),
    include_str!("../../conf/chittyconnect.yaml"),
    include_str!("../../conf/services/chittyos.yaml"),
];

/// One of them, with some of its characters replaced, and some of its lines left out or said twice.
fn damaged() -> impl Strategy<Value = String> {
    let signs: Vec<char> = "[]{}:,-?&*!|>'\"%@` \n\r\t#~0a/\u{85}\u{2028}\u{feff}é".chars().collect();
    let sign = prop_oneof![3 => prop::sample::select(signs), 1 => any::<char>()];
    let index = any::<prop::sample::Index>;
    let lines = prop::collection::vec((index(), 0..3_usize), 0..4);
    let damage = prop::collection::vec((index(), sign), 0..8);
    (prop::sample::select(&FILES[..]), lines, damage).prop_map(|(text, repeats, damage)| {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        for (place, times) in repeats {
            let at = place.index(lines.len());
            lines.splice(at..=at, vec![lines[at]; times]);
        }
        let mut text: Vec<char> = lines.concat().chars().collect();
        for (place, sign) in damage {
            let at = place.index(text.len());
            text[at] = sign;
        }
        text.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_its_mistakes_have_places_in_it(text in prop_oneof![yaml_like(), any::<String>()]) {
        mistakes(&text);
        property::yaml::check(text.as_bytes());
    }

    #[test]
    fn a_damaged_file_is_read_or_its_mistakes_have_places_in_it(text in damaged()) {
        property::yaml::check(text.as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_their_mistakes_have_places_in_them(bytes in any::<Vec<u8>>()) {
        property::yaml::check(&bytes);
    }
}
