//! `/api/v1/groups`.

use serde_json::{Value, json};

use crate::server::server;

#[tokio::test]
async fn groups_of_a_range_have_whole_steps_and_say_what_they_are_of() {
    let server = server().await;
    let path =
        "/api/v1/groups?by=site&tag=role=cache&from=2024-01-01T12:34:00Z&to=2024-01-01T13:01:00Z";
    let found = server.get(&format!("{path}&step=1h")).await.json();
    assert_eq!(
        (&found["from"], &found["to"]),
        (&json!("2024-01-01T12:00:00Z"), &json!("2024-01-01T14:00:00Z"))
    );
    assert_eq!((&found["by"], &found["step_ns"]), (&json!("site"), &json!(3_600_000_000_000_u64)));
    let group = &found["groups"][0];
    assert_eq!((&group["value"], &group["clients"]), (&json!("a site"), &json!(2)));
    assert_eq!((&group["rx_bytes"], &group["rx_p95_bits_per_second"]), (&json!(7), &Value::Null));
    let point = &group["points"][0];
    assert_eq!(
        (&point["time"], &point["rx"]["bytes"]),
        (&json!("2024-01-01T12:00:00Z"), &json!(7))
    );
    assert_eq!(
        (&point["rx_p95_bits_per_second"], &point["tx_p95_bits_per_second"]),
        (&json!(8), &json!(9))
    );
    assert_eq!(found["other"], Value::Null);
    let many = server.get("/api/v1/groups?by=many").await.json();
    assert_eq!(many["groups"].as_array().unwrap().len(), 1);
    assert_eq!((&found["missing_days"], &many["missing_days"]), (&json!(0), &json!(1)));
    let other = &many["other"];
    assert_eq!(
        (&other["values"], &other["clients"], &other["rx_bytes"]),
        (&json!(37), &json!(40), &json!(7))
    );
    assert_eq!((&other["value"], &other["points"][0]["rx"]["bytes"]), (&Value::Null, &json!(7)));
    let all = server.get("/api/v1/groups").await.json();
    assert_eq!((&all["by"], &all["groups"][0]["value"]), (&Value::Null, &Value::Null));
    assert_eq!(all["step_ns"], 300_000_000_000_u64, "a day has 288 points of 5 minutes");
    let each = server.get("/api/v1/groups?each=client&client=web-1").await.json();
    assert_eq!((&each["each"], &each["groups"][0]["value"]), (&json!("client"), &json!("web-1")));
    let sums = server.get("/api/v1/groups?points=false").await.json();
    assert_eq!(
        (&sums["groups"][0]["rx_bytes"], &sums["groups"][0]["points"]),
        (&json!(7), &json!([]))
    );
    for (query, named) in [
        ("by=Site", "a-z"),
        ("by=site&each=client", "leave one out"),
        ("each=nic", "`client`"),
        ("client=", "client is empty"),
        ("tag=site", "key=value"),
        ("step=0.1s&from=1&to=1000000", "longer step"),
        ("step=x", "no duration"),
        ("from=5&to=4", "must be before"),
    ] {
        let (code, message) = server.error(&format!("/api/v1/groups?{query}"), 400).await;
        assert!(code == "bad_parameter" && message.contains(named), "{query}: {message}");
    }
}
