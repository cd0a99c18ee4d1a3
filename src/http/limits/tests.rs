use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

fn limits(yaml: serde_json::Value) -> Limits {
    Limits::new(&serde_json::from_value(yaml).unwrap()).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Sends `count` requests of `latency` from at most 64 tasks; gives when each of them went and came back.
async fn run(limits: &Limits, wanted: &[&str], count: usize, latency: Duration) -> Vec<(Duration, Duration)> {
    let began = Instant::now();
    let left = Arc::new(AtomicI64::new(count as i64));
    let tasks: Vec<_> = (0..count.min(64))
        .map(|_| {
            let (limits, wanted, left) = (limits.clone(), names(wanted), Arc::clone(&left));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while left.fetch_sub(1, Ordering::SeqCst) > 0 {
                    let permit = limits.acquire(&wanted).await.unwrap();
                    let went = began.elapsed();
                    tokio::time::sleep(latency).await;
                    drop(permit);
                    times.push((went, began.elapsed()));
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    times.sort();
    times
}

/// The most moments within any span of this length.
fn densest(moments: &[Duration], span: Duration) -> usize {
    let within = |from: &Duration| moments.iter().filter(|m| *m >= from && **m < *from + span).count();
    moments.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn no_span_ever_holds_more_than_the_limit_and_little_is_given_away() {
    for (requests, per, seconds, latency, count) in [
        (10, "1s", 1, 0, 100),
        (100, "20s", 20, 50, 500),
        (50, "20s", 20, 300, 200),
        (1, "1s", 1, 10, 10),
        (500, "1m", 60, 1000, 1500),
        (3, "1s", 1, 5000, 12),
    ] {
        let limits = limits(serde_json::json!({ "api": { "requests": requests, "per": per } }));
        let estimate = limits.estimate(&names(&["api"]), count as u64);
        let span = Duration::from_secs(seconds);
        let latency = Duration::from_millis(latency);
        let times = run(&limits, &["api"], count, latency).await;
        let mut went: Vec<_> = times.iter().map(|(went, _)| *went).collect();
        let label = format!("{requests} per {per}, {latency:?}");
        assert!(densest(&went, span) <= requests, "{label}: {} went", densest(&went, span));
        assert!(went.iter().filter(|at| at.as_millis() == 0).count() <= (requests / 10).max(1), "{label}: burst");
        // The vendor sees them anywhere between going and coming back: the worst case is alternating.
        if latency <= span / 10 {
            let mut seen: Vec<_> = times.iter().enumerate().map(|(i, t)| if i % 2 == 0 { t.0 } else { t.1 }).collect();
            seen.sort();
            assert!(densest(&seen, span) <= requests, "{label}: {} arrived", densest(&seen, span));
        }
        went.sort();
        let took = went.last().unwrap().as_secs_f64();
        let bound = (count as f64 - (requests / 10).max(1) as f64) / requests as f64 * seconds as f64;
        assert!((estimate - bound).abs() < 0.001, "{label}: {estimate} foretold, {bound} is best");
        assert!(took <= bound * 1.12 + 0.01, "{label}: took {took}, best {bound}");
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_at_once_and_no_more() {
    let limits = limits(serde_json::json!({ "api": { "concurrent": 3 } }));
    let times = run(&limits, &["api"], 9, Duration::from_secs(1)).await;
    let went: Vec<_> = times.iter().map(|(went, _)| went.as_secs()).collect();
    assert_eq!(went, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn several_limits_are_taken_together_without_deadlock() {
    let limits = limits(serde_json::json!({
        "one": { "concurrent": 1 }, "two": { "concurrent": 1 }, "rate": { "requests": 10, "per": "1s" }
    }));
    let (a, b) = (limits.clone(), limits.clone());
    let second = Duration::from_millis(500);
    let (first, other, third) = tokio::join!(
        run(&a, &["one", "two"], 5, second),
        run(&b, &["two", "one", "rate"], 5, second),
        run(&limits, &["rate"], 5, Duration::ZERO),
    );
    assert_eq!((first.len(), other.len(), third.len()), (5, 5, 5));
    let last = first.iter().chain(&other).map(|(_, back)| back.as_millis()).max().unwrap();
    assert!((5000..5500).contains(&last), "{last}");
}

#[tokio::test(start_paused = true)]
async fn those_who_share_a_limit_go_in_order_and_others_do_not_wait_for_them() {
    let limits = limits(serde_json::json!({ "slow": { "requests": 1, "per": "1m" }, "fast": { "concurrent": 8 } }));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for i in 0..4 {
        for (name, wanted) in [("slow", &["slow", "fast"][..]), ("fast", &["fast"]), ("free", &[])] {
            // One after the other into the queue.
            let (limits, order, wanted) = (limits.clone(), Arc::clone(&order), names(wanted));
            tasks.push(tokio::spawn(async move {
                drop(limits.acquire(&wanted).await.unwrap());
                order.lock().unwrap().push((name, i));
            }));
            tokio::task::yield_now().await;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let order = order.lock().unwrap();
    let of = |name: &str| order.iter().filter(|(n, _)| *n == name).map(|(_, i)| *i).collect::<Vec<i32>>();
    assert_eq!((of("slow"), of("fast"), of("free")), (vec![0, 1, 2, 3], vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
    let last_free = order.iter().rposition(|(name, _)| *name == "free").unwrap();
    let second_slow = order.iter().position(|entry| *entry == ("slow", 1)).unwrap();
    assert!(last_free < second_slow, "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_gives_the_place_up() {
    let limits = limits(serde_json::json!({ "api": { "concurrent": 1 } }));
    let held = limits.acquire(&names(&["api"])).await.unwrap();
    let wanted = names(&["api"]);
    assert!(tokio::time::timeout(Duration::from_secs(1), limits.acquire(&wanted)).await.is_err());
    drop(held);
    assert!(tokio::time::timeout(Duration::from_secs(1), limits.acquire(&wanted)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_everything_back() {
    let limits = limits(serde_json::json!({ "api": { "requests": 100, "per": "1s" } }));
    limits.pause(Duration::from_secs(30));
    limits.pause(Duration::from_secs(5));
    assert_eq!(limits.estimate(&names(&["api"]), 1), 30.0);
    let times = run(&limits, &["api"], 3, Duration::ZERO).await;
    assert!(times.iter().all(|(went, _)| went.as_secs() == 30), "{times:?}");
    assert!(run(&limits, &[], 1, Duration::ZERO).await.iter().all(|(went, _)| went.is_zero()));
}

#[tokio::test(start_paused = true)]
async fn after_429_the_rate_is_halved_once_and_recovers_slowly() {
    let limits = limits(serde_json::json!({ "api": { "requests": 100, "per": "1s" } }));
    let wanted = names(&["api"]);
    let rate = |requests: u64, limits: &Limits| requests as f64 / limits.estimate(&wanted, requests);
    assert!((rate(100_000, &limits) - 100.0).abs() < 0.1);
    let (one, two) = (limits.acquire(&wanted).await.unwrap(), limits.acquire(&wanted).await.unwrap());
    tokio::time::advance(Duration::from_millis(100)).await;
    limits.throttled(&one);
    limits.throttled(&two); // was on the way already
    assert!((rate(100_000, &limits) - 50.0).abs() < 0.1, "{}", rate(100_000, &limits));
    drop((one, two));
    let later = limits.acquire(&wanted).await.unwrap();
    limits.throttled(&later);
    assert!((rate(100_000, &limits) - 25.0).abs() < 0.2, "{}", rate(100_000, &limits));
    drop(later);
    let went = run(&limits, &["api"], 10, Duration::ZERO).await;
    assert!(went.last().unwrap().0 >= Duration::from_millis(350), "one by one: {went:?}");
    tokio::time::advance(Duration::from_secs(120)).await;
    assert!((rate(100_000, &limits) - 45.0).abs() < 1.0, "{}", rate(100_000, &limits));
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!((rate(100_000, &limits) - 100.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_nobody_documents_is_found() {
    let limits = limits(serde_json::json!({}));
    // 40 requests a second, until a 429.
    for _ in 0..80 {
        drop(limits.acquire(&[]).await.unwrap());
        tokio::time::advance(Duration::from_millis(25)).await;
    }
    limits.throttled(&limits.acquire(&[]).await.unwrap());
    let went = run(&limits, &[], 41, Duration::ZERO).await;
    let took = went.last().unwrap().0.as_secs_f64();
    assert!((1.8..2.3).contains(&took), "20 a second from now on: {took}");
    tokio::time::advance(Duration::from_secs(300)).await;
    assert!(run(&limits, &[], 100, Duration::ZERO).await.last().unwrap().0.is_zero(), "forgotten after a while");
}

#[tokio::test(start_paused = true)]
async fn a_429_before_anything_was_sent_says_nothing_of_a_rate() {
    let limits = limits(serde_json::json!({}));
    for _ in 0..9 {
        limits.throttled(&limits.acquire(&[]).await.unwrap());
    }
    assert!(run(&limits, &[], 100, Duration::ZERO).await.last().unwrap().0.is_zero(), "nothing is known yet");
    tokio::time::advance(Duration::from_secs(1)).await;
    limits.throttled(&limits.acquire(&[]).await.unwrap());
    let took = run(&limits, &[], 56, Duration::ZERO).await.last().unwrap().0.as_secs_f64();
    assert!((0.9..1.1).contains(&took), "half of 110 a second from now on: {took}");
}

/// A wall clock that is moved by hand.
fn clock(start: &str) -> (Arc<AtomicI64>, impl Fn() -> Timestamp + Send + Sync + 'static) {
    let seconds = Arc::new(AtomicI64::new(start.parse::<Timestamp>().unwrap().as_second()));
    let read = Arc::clone(&seconds);
    (seconds, move || Timestamp::from_second(read.load(Ordering::SeqCst)).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_a_day_are_counted_where_the_vendor_is() {
    let buckets = serde_json::json!({
        "day": { "requests": 100, "per": "day", "timezone": "America/Chicago", "reserve": "10%" }
    });
    let (time, clock) = clock("2026-11-22T20:00:00Z"); // 14:00 in Chicago
    let limits = Limits::with_clock(&serde_json::from_value(buckets).unwrap(), clock).unwrap();
    let wanted = names(&["day"]);
    assert_eq!(limits.left("day"), Some(90));
    limits.set_used("day", 87);
    limits.set_used("day", 3); // the vendor counts late
    limits.set_used("other", 3);
    assert_eq!(limits.left("day"), Some(3));
    assert_eq!(limits.estimate(&wanted, 3), 0.0);
    assert_eq!(limits.estimate(&wanted, 4), 10.0 * 3600.0);
    assert_eq!(limits.estimate(&wanted, 3 + 90 + 1), 34.0 * 3600.0);
    for _ in 0..3 {
        drop(limits.acquire(&wanted).await.unwrap());
    }
    let error = limits.acquire(&wanted).await.err().unwrap();
    let LimitError::Exhausted { bucket, resets, message } = error else { panic!("{error:?}") };
    assert_eq!((bucket.as_str(), resets.to_string().as_str()), ("day", "2026-11-23T06:00:00Z"));
    assert_eq!(
        message,
        "the limit `day` is used up: 90 of 100 requests of the day are used, 10 are left to others (`reserve`); \
         it begins anew at 2026-11-23 00:00 CST"
    );
    // Midnight in Greenwich is not enough; midnight in Chicago is.
    time.store("2026-11-23T05:59:59Z".parse::<Timestamp>().unwrap().as_second(), Ordering::SeqCst);
    assert!(limits.acquire(&wanted).await.is_err());
    time.store("2026-11-23T06:00:00Z".parse::<Timestamp>().unwrap().as_second(), Ordering::SeqCst);
    assert!(limits.acquire(&wanted).await.is_ok());
    assert_eq!(limits.left("day"), Some(89));
    // A clock set back gives nothing away.
    time.store("2026-11-22T20:00:00Z".parse::<Timestamp>().unwrap().as_second(), Ordering::SeqCst);
    assert_eq!(limits.left("day"), Some(89));
}

#[test]
fn limits_that_say_nothing_are_refused_by_name() {
    for (bucket, words) in [
        (serde_json::json!({}), "limits nothing"),
        (serde_json::json!({ "requests": 0 }), "lets nothing through"),
        (serde_json::json!({ "requests": 1, "per": "fortnight" }), "`per: fortnight` is not understood"),
        (serde_json::json!({ "requests": 1, "per": "0s" }), "not understood"),
        (serde_json::json!({ "requests": 1, "per": "day", "timezone": "Mars/Base" }), "no time zone `Mars/Base`"),
        (serde_json::json!({ "requests": 1, "reserve": 5 }), "go with `per: day`"),
    ] {
        let buckets = serde_json::from_value(serde_json::json!({ "x": bucket })).unwrap();
        let error = Limits::new(&buckets).err().unwrap().to_string();
        assert!(error.starts_with("api.limits.x: ") && error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_limit_is_an_error() {
    let error = limits(serde_json::json!({})).acquire(&names(&["nope"])).await.err();
    assert_eq!(error, Some(LimitError::Unknown("nope".into())));
}
