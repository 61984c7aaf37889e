//! What a receiver's answer means.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message;
use serde_json::Value;

/// Longest text of a receiver that is shown.
const TEXT_MAX: usize = 200;

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtlpAnswer {
    /// The receiver has taken everything.
    Accepted,
    /// It has taken all but `rejected` data points. With 0 it only has something to say.
    Partial {
        /// Data points that it will not have.
        rejected: u64,
        /// The reason.
        message: String,
    },
    /// Send it again.
    Again {
        /// The reason.
        why: String,
        /// After this time, if the receiver named one.
        after: Option<Duration>,
    },
    /// Don't send it again.
    Refused {
        /// The reason.
        why: String,
    },
}

impl OtlpAnswer {
    /// Something on the way failed.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Again { why: why.into(), after: None }
    }
}

/// Reads an answer by the rules of OTLP/HTTP.
pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> OtlpAnswer {
    match status.as_u16() {
        200..=299 => taken(headers, body),
        429 | 502..=504 => {
            let why = format!("it answers {status}{}", told(headers, body));
            OtlpAnswer::Again { why, after: retry_after(headers, now) }
        }
        code => {
            let told = told(headers, body);
            let way_out = way_out(code, headers);
            OtlpAnswer::Refused { why: format!("it answers {status}{told}{way_out}") }
        }
    }
}

fn way_out(code: u16, headers: &HeaderMap) -> String {
    match code {
        300..=399 => {
            let to =
                headers.get(LOCATION).map(|to| shortened(&String::from_utf8_lossy(to.as_bytes())));
            let to = to.unwrap_or_default();
            format!(
                " to {to:?}, which is not followed; set export.otlp.url to where it takes metrics"
            )
        }
        401 | 403 => "; put what it asks for into export.otlp.headers_file".to_owned(),
        404 | 405 => "; does the path of export.otlp.url take OTLP metrics?".to_owned(),
        _ => String::new(),
    }
}

/// An answer of success: what was taken.
fn taken(headers: &HeaderMap, body: &[u8]) -> OtlpAnswer {
    if body.is_empty() {
        return OtlpAnswer::Accepted;
    }
    let partial = match media_type(headers).as_str() {
        "application/x-protobuf" | "" => ExportMetricsServiceResponse::decode(body)
            .ok()
            .map(|response| response.partial_success.unwrap_or_default()),
        "application/json" => serde_json::from_slice(body).ok().map(|body: Value| {
            // Numbers of 64 bits are texts in this encoding, for most writers.
            let it = &body["partialSuccess"];
            let rejected = it["rejectedDataPoints"].as_i64();
            let text = it["rejectedDataPoints"].as_str().and_then(|text| text.parse().ok());
            ExportMetricsPartialSuccess {
                rejected_data_points: rejected.or(text).unwrap_or_default(),
                error_message: it["errorMessage"].as_str().unwrap_or_default().to_owned(),
            }
        }),
        _ => None,
    };
    let Some(ExportMetricsPartialSuccess { rejected_data_points, error_message }) = partial else {
        let why = "its answer is not one of OTLP; is export.otlp.url the URL of an OTLP receiver?";
        return OtlpAnswer::Refused { why: why.to_owned() };
    };
    let rejected = u64::try_from(rejected_data_points).unwrap_or_default();
    if rejected == 0 && error_message.is_empty() {
        return OtlpAnswer::Accepted;
    }
    OtlpAnswer::Partial { rejected, message: shortened(&error_message) }
}

/// The time to wait: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// `google.rpc.Status`, as much of it as is of use here.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(string, tag = "2")]
    message: String,
}

/// What an answer of failure says, after a colon.
fn told(headers: &HeaderMap, body: &[u8]) -> String {
    let text = match media_type(headers).as_str() {
        "application/x-protobuf" => RpcStatus::decode(body).map(|status| status.message).ok(),
        "application/json" => serde_json::from_slice(body)
            .ok()
            .and_then(|body: Value| Some(body["message"].as_str()?.to_owned())),
        "text/plain" => Some(String::from_utf8_lossy(body).into_owned()),
        _ => None,
    };
    let text = shortened(&text.unwrap_or_default());
    if text.is_empty() { text } else { format!(": {text}") }
}

fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The first line, if it is long its beginning.
fn shortened(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> OtlpAnswer {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        read(StatusCode::from_u16(status).unwrap(), &headers.collect(), body, now)
    }

    fn response(rejected_data_points: i64, error_message: &str) -> Vec<u8> {
        let error_message = error_message.to_owned();
        let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message };
        ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    }

    #[test]
    fn success_is_full_or_partial_in_either_encoding() {
        let partial =
            |rejected, message: &str| OtlpAnswer::Partial { rejected, message: message.into() };
        assert_eq!(answer(200, &[PROTOBUF], b""), OtlpAnswer::Accepted);
        assert_eq!(answer(204, &[], b""), OtlpAnswer::Accepted);
        assert_eq!(answer(200, &[PROTOBUF], &response(0, "")), OtlpAnswer::Accepted);
        assert_eq!(answer(200, &[PROTOBUF], &response(-1, "")), OtlpAnswer::Accepted);
        assert_eq!(answer(200, &[PROTOBUF], &response(7, "too old")), partial(7, "too old"));
        assert_eq!(answer(200, &[PROTOBUF], &response(0, "hint")), partial(0, "hint"));
        assert_eq!(answer(200, &[JSON], b"{}"), OtlpAnswer::Accepted);
        let json = br#"{"partialSuccess":{"rejectedDataPoints":"7","errorMessage":"too old"}}"#;
        assert_eq!(answer(200, &[JSON], json), partial(7, "too old"));
    }

    #[test]
    fn a_success_that_is_no_answer_of_the_protocol_is_none() {
        let html = ("content-type", "text/html");
        for (kind, body) in [(html, "<html>"), (PROTOBUF, "\u{1}garbage"), (JSON, "{")] {
            let OtlpAnswer::Refused { why } = answer(200, &[kind], body.as_bytes()) else {
                panic!()
            };
            assert!(why.contains("export.otlp.url"), "{why}");
        }
    }

    #[test]
    fn what_may_work_later_is_sent_again_after_the_time_that_was_named() {
        let again = |status, headers: &[_]| match answer(status, headers, b"busy") {
            OtlpAnswer::Again { why, after } => (why, after),
            other => panic!("{other:?}"),
        };
        for status in [429, 502, 503, 504] {
            assert_eq!(again(status, &[]).1, None);
            assert_eq!(again(status, &[("retry-after", "7")]).1, Some(Duration::from_secs(7)));
        }
        let date = [("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")];
        assert_eq!(again(503, &date).1, Some(Duration::from_secs(30)));
        let past = [("retry-after", "Wed, 06 Nov 1974 08:50:07 GMT")];
        assert_eq!(again(503, &past).1, Some(Duration::ZERO));
        assert_eq!(again(503, &[("retry-after", "soon")]).1, None);
        let text = ("content-type", "text/plain");
        assert!(again(429, &[text]).0.ends_with("429 Too Many Requests: busy"));
    }

    #[test]
    fn what_will_never_work_is_refused_with_what_the_receiver_says_and_the_way_out() {
        let refused = |status, headers: &[_], body: &[u8]| match answer(status, headers, body) {
            OtlpAnswer::Refused { why } => why,
            other => panic!("{other:?}"),
        };
        let status = RpcStatus { message: "bad point".into() }.encode_to_vec();
        assert!(refused(400, &[PROTOBUF], &status).ends_with(": bad point"));
        assert!(refused(400, &[JSON], br#"{"message":"bad point"}"#).ends_with(": bad point"));
        assert!(refused(401, &[], b"").contains("headers_file"));
        assert!(refused(404, &[], b"").contains("export.otlp.url"));
        let to = ("location", "https://elsewhere/v1/metrics");
        assert!(refused(308, &[to], b"").contains("https://elsewhere/v1/metrics"));
        assert!(refused(500, &[], b"").contains("500"));
        let long = "x".repeat(1 << 20);
        let text = ("content-type", "text/plain");
        assert!(refused(500, &[text], long.as_bytes()).len() < 300);
    }
}
