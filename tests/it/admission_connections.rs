//! How many connections there may be, to a listener and from a client.

use std::net::Ipv4Addr;

use crate::support::daemon::reserve_port;
use crate::support::{Ask, Client, Daemon, Ending, Upstream, eventually, eventually_eq};

const SERVICE: &str = "svc.chitty.test";

/// A connection that was let in, as an answer on it shows.
fn enter(source: [u8; 4], port: u16) -> Result<Client, Ending> {
    let mut client = Client::try_connect_from(Ipv4Addr::from(source), port).map_err(|_| Ending::Reset)?;
    client.send(Ask::get(SERVICE, "/x").to_bytes());
    let answer = client.try_answer("GET")?;
    assert_eq!(answer.fate(), "-> /x");
    Ok(client)
}

#[track_caller]
fn held_off(entered: &Result<Client, Ending>) {
    match entered {
        Ok(_) => panic!("it was let in"),
        Err(ending) => assert_ne!(*ending, Ending::Silence),
    }
}

#[test]
fn one_connection_too_many_is_closed_without_an_answer() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("limits", "{connections: 3}").service(upstream.service("svc")).start();
    // Idle ones count, too.
    let idle = daemon.connect();
    eventually_eq("it is counted", &1.0, || daemon.connections());
    let held = [1, 2].map(|n| enter([127, 0, 0, n], daemon.port).unwrap());
    assert_eq!(daemon.connections(), 3.0);
    for n in [1, 2, 3] {
        held_off(&enter([127, 0, 0, n], daemon.port));
    }
    assert_eq!((daemon.connections(), daemon.limit_reached("connections")), (3.0, 3.0));
    drop(idle);
    let again = eventually("one that was closed makes room", || enter([127, 0, 0, 1], daemon.port));
    drop((held, again));
    eventually_eq("none is left", &0.0, || daemon.connections());
    let targets = upstream.targets();
    assert!(targets.iter().all(|target| target == "/x") && targets.len() == 3, "{targets:?}");
}

#[test]
fn a_client_has_so_many_and_others_are_let_in_meanwhile() {
    let upstream = Upstream::start();
    let daemon =
        Daemon::builder().set("limits", "{connections_per_client: 2}").service(upstream.service("svc")).start();
    let [first, second] = [(); 2].map(|()| enter([127, 0, 0, 1], daemon.port).unwrap());
    held_off(&enter([127, 0, 0, 1], daemon.port));
    let other = enter([127, 0, 0, 2], daemon.port).unwrap();
    assert_eq!((daemon.connections(), daemon.limit_reached("connections_per_client")), (3.0, 1.0));
    assert_eq!(daemon.limit_reached("connections"), 0.0);
    drop(first);
    let again = eventually("one that was closed makes room", || enter([127, 0, 0, 1], daemon.port));
    drop((second, other, again));
    eventually_eq("none is left", &0.0, || daemon.connections());
}

#[test]
fn trusted_proxies_have_as_many_as_the_listener() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("limits", "{connections: 6, connections_per_client: 1}")
        .set("trusted_proxies", "[127.0.0.2/32]")
        .service(upstream.service("svc"))
        .start();
    let _one = enter([127, 0, 0, 1], daemon.port).unwrap();
    held_off(&enter([127, 0, 0, 1], daemon.port));
    let _proxies: Vec<Client> = (0..5).map(|_| enter([127, 0, 0, 2], daemon.port).unwrap()).collect();
    held_off(&enter([127, 0, 0, 2], daemon.port));
    assert_eq!((daemon.limit_reached("connections_per_client"), daemon.limit_reached("connections")), (1.0, 1.0));
}

#[test]
fn listeners_count_apart_and_clients_do_not() {
    let upstream = Upstream::start();
    let second = reserve_port();
    let daemon = Daemon::builder()
        .set("listeners", &format!("[{{bind: \"127.0.0.1:@PORT@\"}}, {{bind: \"0.0.0.0:{second}\"}}]"))
        .set("limits", "{connections: 2, connections_per_client: 3}")
        .service(upstream.service("svc"))
        .start();
    let _first = [1, 1].map(|n| enter([127, 0, 0, n], daemon.port).unwrap());
    held_off(&enter([127, 0, 0, 3], daemon.port));
    let _second = enter([127, 0, 0, 1], second).unwrap();
    held_off(&enter([127, 0, 0, 1], second));
    assert_eq!((daemon.limit_reached("connections"), daemon.limit_reached("connections_per_client")), (1.0, 1.0));
    let _other = enter([127, 0, 0, 2], second).unwrap();
    held_off(&enter([127, 0, 0, 4], second));
    assert_eq!(daemon.connections(), 4.0);
}

#[test]
fn the_admin_address_answers_when_no_connection_is_free() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder().set("limits", "{connections: 1}").service(upstream.service("svc")).start();
    let _held = enter([127, 0, 0, 1], daemon.port).unwrap();
    held_off(&enter([127, 0, 0, 1], daemon.port));
    assert_eq!(daemon.admin("/readyz").status(), 200);
}
