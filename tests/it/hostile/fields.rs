//! Fields whose names or values are none.

use super::case::{After, Case, get};
use super::run::run;

const NAME: &str = "9110 §5.1";
const VALUE: &str = "9110 §5.5";
const SYNTAX: &str = "9112 §5.1";

#[test]
fn hostile_names_are_refused() {
    let lines = [
        ("a space before the colon", "X : y"),
        ("a tab before the colon", "X\t: y"),
        ("a space in the name", "X Y: z"),
        ("an empty name", ": y"),
        ("a colon alone", ":"),
        ("no colon", "X"),
        ("no colon but a value", "X y"),
        ("no colon but a request line", "GET /smuggled HTTP/1.1"),
        ("NUL in the name", "X\0: y"),
        ("NUL before the name", "\0X: y"),
        ("DEL in the name", "X\x7f: y"),
        ("a control in the name", "X\x01: y"),
        ("a letter beyond ASCII", "Ä: y"),
        ("an emoji", "🦀: y"),
        ("a parenthesis", "X(Y): z"),
        ("a slash", "X/Y: z"),
        ("a backslash", "X\\Y: z"),
        ("an at sign", "X@Y: z"),
        ("a bracket", "[X]: y"),
        ("a brace", "{X}: y"),
        ("an equals sign", "X=Y: z"),
        ("a comma", "X,Y: z"),
        ("a semicolon", "X;Y: z"),
        ("quotes", "\"X\": y"),
        ("angles", "<X>: y"),
        ("a question mark", "X?: y"),
        ("a name of a pseudo-header", ":authority: nope.example"),
        ("a name of a pseudo-header, :path", ":path: /smuggled"),
    ];
    run(&lines.map(|(name, line)| {
        Case::new(name, if name.contains("colon") { SYNTAX } else { NAME }, get(&format!("{line}\r\n")))
    }));
}

#[test]
fn hostile_values_with_controls_are_refused() {
    let controls = (0_u8..32).chain([127]).filter(|b| !matches!(b, b'\t' | b'\n' | b'\r'));
    let cases: Vec<Case> = controls
        .flat_map(|control| {
            let control = char::from(control);
            [
                ("in", format!("X: a{control}b\r\n")),
                ("before", format!("X: {control}b\r\n")),
                ("after", format!("X: a{control}\r\n")),
            ]
            .map(|(place, line)| Case::new(format!("{control:?} {place} the value"), VALUE, get(&line)))
        })
        .collect();
    run(&cases);
}

#[test]
fn hostile_looking_values_that_are_values_pass() {
    let passes = |line: &str, value: &str| Case::new(format!("{line:?}"), VALUE, get(line)).served().field("x", value);
    run(&[
        passes("X: a\tb\r\n", "a\tb"),
        passes("X:\r\n", ""),
        passes("X: \t \r\n", ""),
        passes("X: a: b: c\r\n", "a: b: c"),
        passes("X: %0d%0aHost: nope.example\r\n", "%0d%0aHost: nope.example"),
        passes("X: \\r\\nHost: nope.example\r\n", "\\r\\nHost: nope.example"),
        passes("X: \"a\\\"b\"\r\n", "\"a\\\"b\""),
        passes("X: ${jndi:ldap://127.0.0.1/a}\r\n", "${jndi:ldap://127.0.0.1/a}"),
        passes("X: () { :;}; echo\r\n", "() { :;}; echo"),
        Case::new("bytes above 127", VALUE, [get("X: a").trim_end().as_bytes(), b"\x80\xff\r\n\r\n"].concat())
            .served()
            .field("x", "a\u{80}\u{ff}"),
        Case::new("a line feed in two bytes of UTF-8", VALUE, get("X: a\u{10a}b\r\n")).served(),
        Case::new("every sign that a name may have", NAME, get("!#$%&'*+-.^_`|~09azAZ: y\r\n")).served(),
        Case::new("one name many times", NAME, get(&"X: y\r\n".repeat(50))).served(),
        Case::new("an underscore for a hyphen", NAME, get("X_Forwarded_For: 192.0.2.1\r\n"))
            .served()
            .after(After::Stays),
    ]);
}
