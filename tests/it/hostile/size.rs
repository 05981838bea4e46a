//! What is too much of it.

use super::case::{After, Arrives, Case, HOST, get, get_target};
use super::run::run;

const URI: &str = "9110 §4.1";
const FIELDS: &str = "9110 §5.4";

#[test]
fn hostile_sizes_are_refused() {
    let many = |count: usize| (0..count).fold(String::new(), |lines, n| lines + &format!("X-{n}: y\r\n"));
    let names = |count: usize| get(&format!("{}: y\r\n", "X".repeat(count)));
    let values = |count: usize| get(&format!("X: {}\r\n", "y".repeat(count)));
    run(&[
        Case::new("a target of 9 KiB", URI, get_target(&format!("/{}", "a".repeat(9 << 10))))
            .status(&[414])
            .after(After::Either),
        Case::new("a target of 100 KiB", URI, get_target(&format!("/{}", "a".repeat(100 << 10))))
            .status(&[400, 414])
            .after(After::Either),
        Case::new("a query of 9 KiB", URI, get_target(&format!("/?{}", "a".repeat(9 << 10))))
            .status(&[414])
            .after(After::Either),
        Case::new("a target of 1500 KiB", URI, get_target(&format!("/{}", "a".repeat(1500 << 10))))
            .status(&[400, 414, 0]),
        Case::new("a path of 4000 climbs", URI, get_target(&"/..".repeat(2700))).status(&[400]).after(After::Either),
        Case::new("a path of 4000 slashes", URI, get_target(&"/".repeat(4000))).served(),
        Case::new("a path of encoded dots", URI, get_target(&format!("/{}", "%2e".repeat(2700)))).served(),
        Case::new("a name of 40 KiB", FIELDS, names(40 << 10))
            .status(&[400, 431, 200])
            .after(After::Either)
            .arrives(Arrives::AtMost(1)),
        Case::new("a name of 70 KiB", FIELDS, names(70 << 10)).status(&[400, 431]).after(After::Either),
        Case::new("a value of 70 KiB", FIELDS, values(70 << 10)).status(&[431]).after(After::Either),
        Case::new("values of 70 KiB together", FIELDS, get(&format!("X: {}\r\n", "y".repeat(1000)).repeat(70)))
            .status(&[431])
            .after(After::Either),
        Case::new("a value of 1500 KiB", FIELDS, values(1500 << 10)).status(&[400, 431, 0]),
        Case::new("101 fields", FIELDS, get(&many(100))).status(&[431]).after(After::Either),
        Case::new("255 fields", FIELDS, get(&many(254))).status(&[431]).after(After::Either),
        Case::new("300 fields", FIELDS, get(&many(299))).status(&[400, 431]),
        Case::new("5000 fields", FIELDS, get(&many(5000))).status(&[400, 431, 0]),
        Case::new("300 equal fields", FIELDS, get(&"X: y\r\n".repeat(300))).status(&[400, 431]),
        Case::new(
            "a method of 70 KiB",
            "9112 §3.1",
            format!("{} /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "A".repeat(70 << 10)),
        )
        .status(&[400, 414, 431, 501])
        .after(After::Either),
        Case::new(
            "a method of 10 KiB",
            "9112 §3.1",
            format!("{} /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "A".repeat(10 << 10)),
        )
        .status(&[200, 400, 431, 501])
        .after(After::Either)
        .arrives(Arrives::AtMost(1)),
        Case::new("70 KiB of empty lines", "9112 §2.2", format!("{}{}", "\r\n".repeat(35 << 10), get("")))
            .status(&[400, 431])
            .after(After::Either),
        Case::new("one line of 1500 KiB and no end", "9112 §2.2", "A".repeat(1500 << 10)).status(&[400, 0]),
        Case::new("1000 lists in Connection", "9110 §7.6.1", get(&format!("Connection: {}\r\n", "x,".repeat(1000))))
            .status(&[400, 431]),
        Case::new(
            "1000 empty elements in Connection",
            "9110 §5.6.1",
            get(&format!("Connection: {}\r\n", ",".repeat(1000))),
        )
        .status(&[200, 400])
        .after(After::Either)
        .arrives(Arrives::AtMost(1)),
    ]);
}
