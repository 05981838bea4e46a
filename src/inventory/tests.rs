//! What holds for any files: mended ones parse, keep their comments, and leave `--fix` nothing to do.

mod drawn;

use std::path::PathBuf;

use proptest::prelude::*;

use self::drawn::{NAMES, block, json_text, toml_text};
use super::claim::Place;
use super::family::{Family, GATEWAY_WORKER};
use super::wrangler::text::{Syntax, comments};
use super::wrangler::{Unread, WranglerFile};
use super::{Inventory, Sources, fix};
use crate::registry::report::{GatewayHost, RoutesReport, ServiceRow};

fn family() -> Family {
    let row = |id: &str, subdomain: &str| ServiceRow {
        id: id.to_owned(),
        subdomain: Some(subdomain.to_owned()),
        external_id: None,
        prefixes: vec![id.to_owned()],
        hosts: vec![format!("{subdomain}.x.test")],
        endpoints: Vec::new(),
        enabled: true,
        status: None,
        source: "services".into(),
        provenance: std::collections::BTreeMap::default(),
    };
    let report = RoutesReport {
        domain: Some("x.test".to_owned()),
        gateway: ["api", "mcp"]
            .map(|role| GatewayHost { host: format!("{role}.x.test"), role: role.to_owned() })
            .to_vec(),
        loading: false,
        services: vec![row("alpha", "a"), row("beta", "beta")],
        unroutable: Vec::new(),
        conflicts: Vec::new(),
        rejected: Vec::new(),
        sources: Vec::new(),
    };
    Family::of(&report, GATEWAY_WORKER).unwrap()
}

fn inventory(files: Vec<WranglerFile>) -> Inventory {
    let family = Some((family(), Place::Configuration));
    Inventory::of(Sources { wrangler: Some(files), family, ..Sources::default() })
}

fn file(index: usize, text: &str, syntax: Syntax) -> Result<WranglerFile, Unread> {
    WranglerFile::parse(PathBuf::from(format!("{index}/wrangler")), text.to_owned(), syntax)
}

/// What `--fix` makes of one file.
fn mended(text: &str, syntax: Syntax) -> String {
    let inventory = inventory(vec![file(0, text, syntax).unwrap()]);
    let (mended, failed) = fix::mend(&inventory);
    assert_eq!(failed, Vec::<String>::new(), "{text}");
    mended.into_iter().next().map_or_else(|| text.to_owned(), |mended| mended.after)
}

#[test]
fn edits_are_the_smallest() {
    let cases = [
        // The only route of a file goes, and with it its line.
        ("name = \"s\"\nroute = \"api.x.test/*\" # old\n\n[vars]\n", "name = \"s\"\n# old\n\n[vars]\n"),
        // It becomes the service's own.
        ("name = 'alpha'\nroute = 'api.x.test/alpha/*'\n", "name = 'alpha'\nroute = 'a.x.test/*'\n"),
        (
            "name = \"alpha\"\nroute = {pattern = \"mcp.x.test\", custom_domain = true}\n",
            "name = \"alpha\"\nroute = {pattern = \"a.x.test\", custom_domain = true}\n",
        ),
        // Its own stays, at whatever place of a list.
        (
            "name = \"alpha\"\nroutes = [\"a.x.test/*\", \"api.x.test/*\"]\n",
            "name = \"alpha\"\nroutes = [\"a.x.test/*\"]\n",
        ),
        (
            "name = \"alpha\"\nroutes = [\"api.x.test/*\", \"a.x.test/*\", \"mcp.x.test/*\", ]\n",
            "name = \"alpha\"\nroutes = [\"a.x.test/*\", ]\n",
        ),
        // An environment without a word on routes would have those of the top.
        (
            "name = \"alpha\"\nroute = \"a.x.test/*\"\n[env.dev]\nroute = \"api.x.test/*\"\n",
            "name = \"alpha\"\nroute = \"a.x.test/*\"\n[env.dev]\nroutes = []\n",
        ),
        (
            "name = \"alpha\"\nroute = \"a.x.test/*\"\n\n[env.dev]\nvars = {}\n[[env.dev.routes]]\npattern = \"api.x.test/*\"\n",
            "name = \"alpha\"\nroute = \"a.x.test/*\"\n\n[env.dev]\nroutes = []\nvars = {}\n",
        ),
        (
            "name = \"alpha\"\nroute = \"a.x.test/*\"\n\n[[env.dev.routes]]\npattern = \"api.x.test/*\"\n",
            "name = \"alpha\"\nroute = \"a.x.test/*\"\n\n[env.dev]\nroutes = []\n",
        ),
        // A zone that does not own the host goes with the pattern.
        (
            "name = \"alpha\"\n[[routes]]\npattern = \"z.y.test/*\"\nzone_name = \"y.test\"\n",
            "name = \"alpha\"\n[[routes]]\npattern = \"a.x.test/*\"\nzone_name = \"x.test\"\n",
        ),
        // Two tables go, and no more than one empty line stays.
        (
            "name = \"s\"\r\n\r\n[[routes]]\r\npattern = \"api.x.test/*\"\r\n\r\n[[routes]]\r\npattern = \"mcp.x.test/*\"\r\n\r\n[vars]\r\n",
            "name = \"s\"\r\n\r\n[vars]\r\n",
        ),
        // The gateway's worker gets its hosts.
        (
            "name = \"chittyconnect\"\nmain = \"x\"\n",
            "name = \"chittyconnect\"\nroutes = [{ pattern = \"api.x.test/*\", zone_name = \"x.test\" }, { pattern = \"mcp.x.test/*\", zone_name = \"x.test\" }]\nmain = \"x\"\n",
        ),
        (
            "name = \"chittyconnect\"\nroute = \"api.x.test/*\"\n",
            "name = \"chittyconnect\"\nroutes = [\"api.x.test/*\", \"mcp.x.test/*\"]\n",
        ),
        (
            "name = \"chittyconnect\"\n[[env.production.routes]]\npattern = \"mcp.x.test\"\ncustom_domain = true\n",
            "name = \"chittyconnect\"\n[[env.production.routes]]\npattern = \"mcp.x.test\"\ncustom_domain = true\n\n[[env.production.routes]]\npattern = \"api.x.test/*\"\nzone_name = \"x.test\"\n",
        ),
    ];
    for (before, after) in cases {
        assert_eq!(mended(before, Syntax::Toml), after, "{before}");
    }
    let cases = [
        ("{\"name\": \"s\", \"route\": \"api.x.test/*\", \"main\": \"x\"}", "{\"name\": \"s\", \"main\": \"x\"}"),
        ("{\"name\": \"s\", \"route\": \"api.x.test/*\"}", "{\"name\": \"s\"}"),
        (
            "{\n  \"name\": \"alpha\",\n  \"routes\": [\n    \"a.x.test/*\",\n    // why\n    \"api.x.test/*\"\n  ]\n}\n",
            "{\n  \"name\": \"alpha\",\n  \"routes\": [\n    \"a.x.test/*\"\n    // why\n  ]\n}\n",
        ),
        (
            "{\"name\": \"chittyconnect\", \"routes\": [\"api.x.test/*\",],}",
            "{\"name\": \"chittyconnect\", \"routes\": [\"api.x.test/*\", \"mcp.x.test/*\",],}",
        ),
    ];
    for (before, after) in cases {
        assert_eq!(mended(before, Syntax::Jsonc), after, "{before}");
    }
}

#[test]
fn an_edit_gives_no_worker_what_another_has() {
    let own = file(0, "name = \"alpha\"\nroute = \"a.x.test/*\"\n", Syntax::Toml).unwrap();
    let other = file(1, "name = \"alpha-production\"\nroute = \"api.x.test/*\"\n", Syntax::Toml).unwrap();
    let (mended, _) = fix::mend(&inventory(vec![own, other]));
    let after: Vec<&str> = mended.iter().map(|mended| mended.after.as_str()).collect();
    assert_eq!(after, ["name = \"alpha-production\"\n"]);
}

#[test]
fn a_worker_of_another_environment_gets_no_route_of_production() {
    let text = "name = \"alpha-staging\"\nroutes = [\"a-staging.x.test/*\", \"api.x.test/alpha/*\"]\n";
    assert_eq!(mended(text, Syntax::Toml), "name = \"alpha-staging\"\nroutes = [\"a-staging.x.test/*\"]\n");
    let alone = "name = \"alpha-staging\"\nroute = \"api.x.test/alpha/*\"\n";
    assert_eq!(mended(alone, Syntax::Toml), "name = \"alpha-staging\"\n");
    let production = file(0, "name = \"alpha\"\nroute = \"a.x.test/*\"\n", Syntax::Toml).unwrap();
    let staging = file(1, "name = \"alpha-staging\"\nroute = \"a.x.test/*\"\n", Syntax::Toml).unwrap();
    let conflicts = inventory(vec![production, staging]).findings;
    assert!(conflicts.iter().all(|finding| finding.rule != super::finding::Rule::RouteConflict), "{conflicts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn mended_files_parse_keep_their_comments_and_leave_nothing_to_mend(
        drawn in proptest::collection::vec(
            (0..NAMES.len(), block(), proptest::collection::vec(block(), 3), any::<[bool; 3]>()), 1..4),
    ) {
        let mut number = 0;
        let mut files = Vec::new();
        for (index, (name, top, environments, [toml, crlf, mark])) in drawn.iter().enumerate() {
            let (text, syntax) = if *toml {
                (toml_text(NAMES[*name], top, environments, &mut number), Syntax::Toml)
            } else {
                (json_text(NAMES[*name], top, environments, &mut number), Syntax::Jsonc)
            };
            let text = if *crlf { text.replace('\n', "\r\n") } else { text };
            let text = if *mark { format!("\u{feff}{text}") } else { text };
            let read = file(index, &text, syntax);
            prop_assert!(read.is_ok(), "{}\n{text}", read.unwrap_err());
            files.extend(read);
        }
        let before = inventory(files);
        let (mended, failed) = fix::mend(&before);
        prop_assert_eq!(failed, Vec::<String>::new());
        let mut after = before.files().to_vec();
        for one in &mended {
            let old = &after[one.file];
            let read = one.read(old);
            prop_assert!(read.is_ok(), "{}\n{}\n{}", read.unwrap_err(), one.before, one.after);
            let words = |text: &str| {
                let mut words: Vec<String> =
                    comments(text, old.syntax).into_iter().map(|range| text[range].to_owned()).collect();
                words.sort();
                words
            };
            prop_assert_eq!(words(&one.before), words(&one.after), "{}\n{}", one.before, one.after);
            prop_assert_eq!(one.before.starts_with('\u{feff}'), one.after.starts_with('\u{feff}'));
            let bare = |text: &str| text.matches('\n').count() - text.matches("\r\n").count();
            prop_assert!(bare(&one.before) > 0 || bare(&one.after) == 0, "line ends\n{}\n{}", one.before, one.after);
            if let Ok(read) = read {
                after[one.file] = read;
            }
        }
        let after = inventory(after);
        let left: Vec<&str> =
            after.findings.iter().filter(|finding| finding.fixable).map(|finding| finding.message.as_str()).collect();
        prop_assert_eq!(left, Vec::<&str>::new(), "{:?}", mended.iter().map(|one| &one.after).collect::<Vec<_>>());
        let again = fix::mend(&after);
        prop_assert_eq!(again, (Vec::new(), Vec::new()));
    }
}
