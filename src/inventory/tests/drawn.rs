//! Wrangler files made up: every form, with comments wherever one can stand.

use proptest::prelude::*;

const PATTERNS: [&str; 14] = [
    "a.x.test/*",
    "a.x.test/v1/*",
    "https://a.x.test/*",
    "api.x.test/*",
    "api.x.test/alpha/*",
    "mcp.x.test/beta*",
    "beta.x.test/*",
    "beta.x.test",
    "beta-staging.x.test/*",
    "*.x.test/*",
    "z.y.test/*",
    "a-*.x.test/*",
    "${HOST}/*",
    "staging.a.x.test/*",
];

/// One route: its pattern, whether it is an object, and what stands beside it.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is drawn on its own")]
struct Drawn {
    pattern: &'static str,
    object: bool,
    custom: bool,
    zone: bool,
    comment: bool,
    own_line: bool,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (0..PATTERNS.len(), any::<[bool; 5]>()).prop_map(|(index, [object, custom, zone, comment, own_line])| Drawn {
        pattern: PATTERNS[index],
        object,
        custom,
        zone,
        comment,
        own_line,
    })
}

/// How a block's routes are written.
#[derive(Clone, Debug)]
pub(super) struct Block {
    style: usize,
    routes: Vec<Drawn>,
    header: bool,
}

pub(super) fn block() -> impl Strategy<Value = Block> {
    (0..4_usize, proptest::collection::vec(drawn(), 0..4), any::<bool>()).prop_map(|(style, routes, header)| Block {
        style,
        routes,
        header,
    })
}

pub(super) const NAMES: [&str; 6] =
    ["alpha", "beta-production", "chittyconnect", "stranger", "alpha-staging", "unheard"];
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "dev 2"];

fn comment(on: bool, mark: &str, end: &str, number: &mut usize) -> String {
    *number += 1;
    if on { format!(" {mark} c{number} \"[{{,\" pattern = x{end}") } else { String::new() }
}

fn value(route: &Drawn, toml: bool) -> String {
    if !route.object {
        return format!("\"{}\"", route.pattern);
    }
    let sets = if toml { " = " } else { ": " };
    let key = |key: &str| if toml { key.to_owned() } else { format!("\"{key}\"") };
    let mut fields = vec![format!("{}{sets}\"{}\"", key("pattern"), route.pattern)];
    if route.zone {
        fields.push(format!("{}{sets}\"x.test\"", key("zone_name")));
    }
    if route.custom {
        fields.push(format!("{}{sets}true", key("custom_domain")));
    }
    format!("{{ {} }}", fields.join(", "))
}

pub(super) fn toml_text(name: &str, top: &Block, environments: &[Block], number: &mut usize) -> String {
    let mut text = format!("name = \"{name}\"{}\n", comment(true, "#", "", number));
    let list = |block: &Block, number: &mut usize| {
        let mut list = "routes = [".to_owned();
        for route in &block.routes {
            let before = if route.own_line { "\n    " } else { " " };
            let after = if route.comment { format!(",{}\n", comment(true, "#", "", number)) } else { ",".to_owned() };
            list.push_str(&format!("{before}{}{after}", value(route, true)));
        }
        if top.header {
            list.push_str("\n]\n");
        } else {
            list.push_str(" ]\n");
        }
        list
    };
    let single = |block: &Block, number: &mut usize| {
        let first = block.routes.first();
        first.map_or(String::new(), |route| {
            format!("route = {}{}\n", value(route, true), comment(route.comment, "#", "", number))
        })
    };
    let tables = |block: &Block, path: &str, number: &mut usize| {
        let mut text = String::new();
        for route in &block.routes {
            if route.comment {
                text.push_str(&format!("{}\n", comment(true, "#", "", number)));
            }
            text.push_str(&format!("[[{path}]]{}\n", comment(route.zone, "#", "", number)));
            text.push_str(&format!("pattern = \"{}\"{}\n", route.pattern, comment(route.comment, "#", "", number)));
            if route.zone {
                text.push_str("zone_name = \"x.test\"\n");
            }
            if route.custom {
                text.push_str("custom_domain = true\n");
            }
            if route.own_line {
                text.push('\n');
            }
        }
        text
    };
    match top.style {
        0 => text.push_str(&list(top, number)),
        1 => text.push_str(&single(top, number)),
        _ => {}
    }
    for (environment, block) in ENVIRONMENTS.iter().zip(environments) {
        let inner = match block.style {
            0 => list(block, number),
            1 => single(block, number),
            _ => String::new(),
        };
        if block.header || !inner.is_empty() {
            text.push_str(&format!("\n[env.\"{environment}\"]\n{inner}vars = {{ route = \"api.x.test/*\" }}\n"));
        }
        if block.style == 2 {
            text.push_str(&tables(block, &format!("env.\"{environment}\".routes"), number));
        }
    }
    if top.style == 2 {
        text.push_str(&tables(top, "routes", number));
    }
    text
}

pub(super) fn json_text(name: &str, top: &Block, environments: &[Block], number: &mut usize) -> String {
    let routes = |block: &Block, number: &mut usize| match block.style {
        1 => block
            .routes
            .first()
            .map(|route| format!("\"route\": {}{}", value(route, false), comment(route.comment, "/*", " */", number))),
        0 => {
            let mut list = "\"routes\": [".to_owned();
            for (index, route) in block.routes.iter().enumerate() {
                let comma = if index + 1 < block.routes.len() || block.header { "," } else { "" };
                let before = if route.own_line { "\n    " } else { "" };
                let (inner, outer) = if route.zone { (route.comment, false) } else { (false, route.comment) };
                list.push_str(&format!(
                    "{before}{}{}{comma}{}",
                    value(route, false),
                    comment(inner, "/*", " */", number),
                    comment(outer, "//", "\n", number)
                ));
            }
            list.push_str(if top.header { "\n  ]" } else { "]" });
            Some(list)
        }
        _ => None,
    };
    let mut fields = vec![format!("\"name\": \"{name}\"{}", comment(top.header, "/*", " */", number))];
    fields.extend(routes(top, number));
    let mut inside = Vec::new();
    for (environment, block) in ENVIRONMENTS.iter().zip(environments) {
        let fields: Vec<String> = std::iter::once("\"vars\": {\"route\": \"api.x.test/*\"}".to_owned())
            .chain(routes(block, number))
            .collect();
        inside.push(format!("\"{environment}\": {{ {} }}", fields.join(", ")));
    }
    fields.push(format!("\"env\": {{ {} }}", inside.join(",\n    ")));
    let joint = if top.header { ",\n  " } else { ", " };
    format!("{{\n  {}\n}}\n// the end\n", fields.join(joint))
}
