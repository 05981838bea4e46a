use super::found::{Finding, Health};
use super::*;
use crate::model::time::Time;
use crate::upstream::probe::ProbeError;

#[test]
fn what_the_answers_of_all_endpoints_say_together() {
    let (failed, late) = (Err(ProbeError::Connect), Err(ProbeError::Timeout));
    for (answers, health) in [
        (&[Ok(200)][..], Health::Healthy),
        (&[Ok(204), Ok(299)], Health::Healthy),
        (&[Ok(302)], Health::Degraded),
        (&[Ok(503)], Health::Degraded),
        (&[Ok(200), Ok(500)], Health::Degraded),
        (&[failed, Ok(200)], Health::Degraded),
        (&[failed], Health::Down),
        (&[late, failed], Health::Down),
    ] {
        let found = Finding::of(answers, Time::from_millis(1));
        let shown = format!("{found:?}");
        assert!(shown.contains(&format!("health: {health:?}")), "{answers:?}: {shown}");
    }
    let shown = format!("{:?}", Finding::of(&[Ok(200), failed], Time::from_millis(1)));
    assert!(shown.contains("connection failed"), "{shown}");
}

#[test]
fn nothing_is_known_before_a_table() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let watch = HealthWatch::new(Arc::new(Endpoints::default()), metrics);
    assert_eq!(watch.list(), &b"{\"services\":{}}"[..]);
    assert!(watch.status(&ServiceKey::parse("x").unwrap()).is_none());
}
