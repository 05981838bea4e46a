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
        "s.yaml:5:17: services[1].endpoints[0]: \"10.0.0.2\" has no scheme; accepted: http://host:port, https://host:port, h2c://host:port or unix:/path",
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
fn what_is_weaker_or_without_effect_is_warned_of() {
    let file = parse(
        "services:\n  - {id: one, tls: {verify: false}}\n  - {id: two, balance: least_requests, hash_on: client_ip}\n  - \
         {id: three, endpoints: [unix:/run/x]}\n  - {id: four, endpoints: [{url: \"http://a:1\", weight: 3}]}\n",
    );
    assert_eq!(ids(&file), ["one", "two", "three", "four"]);
    let warned: Vec<_> = file.warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(warned, ["services[0].tls.verify", "services[1].hash_on"]);
}

#[test]
fn the_policies_of_a_service_are_read() {
    use crate::model::service::{Balance, HashOn, RetryCause};
    let file = parse(
        "services:\n  - id: one\n    endpoints: [h2c://10.0.0.1:1, {url: \"https://a.test\", weight: 3}]\n    balance: \
         consistent_hash\n    hash_on: header:X-Tenant\n    retry: {attempts: 1, on: [timeout, \"502\"], budget: 0}\n    \
         outlier: {consecutive_errors: 2, eject_for: 1s, max_ejected: 1}\n    limits: {in_flight: 3}\n    health: {healthy: \
         1, unhealthy: 4}\n    tls: {ca_file: ca.pem, sni: b.test, client_cert: c.pem, client_key: k.pem}\n    headers: \
         {request: {set: {X-A: 1}, remove: [X-B]}, response: {set: {}, remove: [Server]}}\n",
    );
    let [one] = &file.declarations[..] else { panic!("{:?}", file.rejected) };
    let weights: Vec<_> = one.endpoints.iter().flatten().map(|endpoint| endpoint.weight).collect();
    assert_eq!(weights, [1, 3]);
    assert_eq!(one.balance, Some(Balance::ConsistentHash));
    assert_eq!(one.hash_on, Some(HashOn::Header("x-tenant".to_owned())));
    assert_eq!(one.retry.on, Some(vec![RetryCause::Timeout, RetryCause::Status502]));
    assert_eq!((one.retry.attempts, one.retry.budget), (Some(1), Some(0.0)));
    assert_eq!((one.outlier.consecutive_errors, one.outlier.max_ejected), (Some(2), Some(1.0)));
    assert_eq!((one.in_flight, one.health_healthy, one.health_unhealthy), (Some(3), Some(1), Some(4)));
    assert_eq!(one.tls.client, Some(("c.pem".into(), "k.pem".into())));
    let headers = one.headers.as_ref().unwrap();
    assert_eq!(headers.request.set, [("x-a".to_owned(), "1".to_owned())]);
    assert_eq!(
        (&headers.request.remove[..], &headers.response.remove[..]),
        (&["x-b".to_owned()][..], &["server".to_owned()][..])
    );
}

#[test]
fn a_rule_cannot_change_what_frames_a_message() {
    let file =
        parse("services: [{id: one, headers: {request: {set: {Content-Length: 1}, remove: [Host, Connection]}}}]\n");
    let [rejected] = &file.rejected[..] else { panic!("{:?}", file.declarations) };
    assert_eq!(rejected.reason.lines().count(), 3, "{}", rejected.reason);
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
