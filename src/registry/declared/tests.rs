use super::*;
use crate::model::service::ServiceAuth;

fn parse(text: &str) -> ServiceFile {
    parse_file(text.as_bytes(), "s.yaml").unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn ids(file: &ServiceFile) -> Vec<String> {
    file.declarations.iter().map(|declaration| declaration.id.clone().unwrap().into()).collect()
}

#[test]
fn a_bad_entry_costs_itself_and_keeps_all_its_reasons() {
    let file = parse(
        "services:\n  - id: one\n    endpoints: [http://10.0.0.1:1]\n  - id: two\n    endpoints: [10.0.0.2]\n    hots: []\n  - \
         id: three\n",
    );
    assert_eq!(ids(&file), ["one", "three"]);
    let [rejected] = &file.rejected[..] else { panic!("{:?}", file.rejected) };
    assert_eq!(
        (rejected.index, rejected.id.as_deref(), rejected.base_url.as_deref()),
        (1, Some("two"), Some("10.0.0.2"))
    );
    let reasons: Vec<_> = rejected.reason.lines().collect();
    let expected = [
        "s.yaml:5:17: services[1].endpoints[0]: \"10.0.0.2\" has no scheme; accepted: http://host:port or https://host:port",
        "s.yaml:6:5: services[1].hots: unknown key; did you mean `hosts`?",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn what_is_not_an_entry_at_all_is_rejected_too() {
    let file =
        parse("services:\n  - id: one\n  - two\n  - [three]\n  - {subdomain: four}\n  - {id: [x], endpoints: 5}\n");
    assert_eq!(ids(&file), ["one"]);
    assert_eq!(file.rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(file.rejected.iter().all(|rejected| rejected.id.is_none() && !rejected.reason.is_empty()));
}

#[test]
fn what_the_parser_notes_inside_an_entry_costs_that_entry_too() {
    let file = parse("services:\n  - {id: one, reason: a, reason: b}\n  - {id: two, url: !x y}\n  -\n  - {id: four}\n");
    assert_eq!(ids(&file), ["four"]);
    let reasons: Vec<_> = file.rejected.iter().map(|rejected| rejected.reason.lines().next().unwrap()).collect();
    let expected = [
        "s.yaml:2:26: services[0].reason: set twice, first at line 2; accepted: each key once",
        "s.yaml:3:23: services[1].url: the tag `!x`; accepted: no tag",
        "s.yaml:4:4: services[2].id: missing; accepted: 1 to 63 of a-z, 0-9 and -",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn the_first_of_two_entries_with_one_id_keeps_it() {
    let file = parse("services:\n  - {id: one, subdomain: a}\n  - {id: ONE, subdomain: b}\n  - {id: two}\n");
    assert_eq!(ids(&file), ["one", "two"]);
    let reason = "s.yaml:3:10: services[1].id: `one` is declared already at line 2; accepted: each id once";
    assert_eq!(file.rejected[0].reason, reason);
}

#[test]
fn an_entry_of_a_later_capability_is_refused_only_where_it_could_not_work() {
    let file = parse(
        "services:\n  - {id: one, tls: {ca_file: a.pem}}\n  - {id: two, balance: least_requests}\n  - {id: three, endpoints: \
         [unix:/run/x]}\n  - {id: four, endpoints: [{url: \"http://a:1\", weight: 3}]}\n",
    );
    assert_eq!(ids(&file), ["two", "four"]);
    let warned: Vec<_> = file.warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(warned, ["services[1].balance", "services[3].endpoints[0].weight"]);
}

#[test]
fn what_callers_need_is_said_by_a_word() {
    let file = parse(
        "services:\n  - {id: one, auth: key}\n  - {id: two, auth: jwt}\n  - {id: three, auth: none}\n  - {id: four}\n  \
         - {id: five, auth: basic}\n",
    );
    let said: Vec<_> = file.declarations.iter().map(|declaration| declaration.auth).collect();
    assert_eq!(said, [Some(ServiceAuth::Key), Some(ServiceAuth::Jwt), Some(ServiceAuth::None), None]);
    let reason = &file.rejected[0].reason;
    assert!(reason.contains("services[4].auth") && reason.contains("accepted: none, key, jwt"), "{reason}");
}

#[test]
fn no_content_and_no_services_are_empty_lists() {
    for text in ["", "# nothing\n", "services:\n", "services: []\n", "---\n"] {
        assert_eq!(parse(text), ServiceFile::default(), "{text:?}");
    }
}

#[test]
fn a_file_that_is_no_list_of_services_is_refused_whole() {
    for text in ["- id: one\n", "service: []\n", "services: {}\n", "services: one\n", "services: [\n", "\u{7}"] {
        assert!(!parse_file(text.as_bytes(), "s.yaml").unwrap_err().is_empty(), "{text:?}");
    }
    assert_eq!(parse_file(b"services:\n  - id: \xff\n", "s.yaml").unwrap_err()[0].position.line, 2);
}

#[test]
fn only_what_is_said_is_declared() {
    let file = parse("services:\n  - id: one\n    timeouts: {read: null}\n    hosts: []\n    aliases: ~\n");
    let declaration = &file.declarations[0];
    assert_eq!(declaration.timeouts.read, Some(None));
    assert_eq!((declaration.timeouts.connect, declaration.timeouts.total), (None, None));
    assert_eq!((&declaration.hosts, &declaration.aliases, &declaration.endpoints), (&Some(vec![]), &None, &None));
    assert_eq!((declaration.enabled, declaration.forward_credentials), (None, None));
}
