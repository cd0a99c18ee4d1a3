//! Ten thousand rows of every kind of data, the same each time: first what is on the edge of a kind, then what is drawn
//! from the number of the row.

use jiff::civil;

pub const ROWS: u64 = 10_000;

/// A kind of data, as the issue lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Key,
    Email,
    Whole,
    Wide,
    Huge,
    Flag,
    Price,
    Exact,
    Single,
    Double,
    /// A floating point number that may be NaN or infinite.
    Unlimited,
    Text,
    Date,
    Time,
    Wall,
    Instant,
    Months,
    Clock,
    Span,
    Json,
    Texts,
    Numbers,
    Object,
    Bytes,
    Uuid,
}

/// Every column: its name and kind.
pub const COLUMNS: [(&str, Kind); 25] = [
    ("id", Kind::Key),
    ("email", Kind::Email),
    ("seats", Kind::Whole),
    ("points", Kind::Wide),
    ("atoms", Kind::Huge),
    ("active", Kind::Flag),
    ("price", Kind::Price),
    ("exact", Kind::Exact),
    ("share", Kind::Single),
    ("ratio", Kind::Double),
    ("limit_", Kind::Unlimited),
    ("note", Kind::Text),
    ("born", Kind::Date),
    ("opens", Kind::Time),
    ("seen", Kind::Wall),
    ("met", Kind::Instant),
    ("term", Kind::Months),
    ("shift", Kind::Clock),
    ("span", Kind::Span),
    ("doc", Kind::Json),
    ("tags", Kind::Texts),
    ("scores", Kind::Numbers),
    ("address", Kind::Object),
    ("picture", Kind::Bytes),
    ("token", Kind::Uuid),
];

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Flag(bool),
    Whole(i128),
    /// Units of ten to the minus so much.
    Decimal(i128, u32),
    Single(f32),
    Double(f64),
    Text(String),
    Date(civil::Date),
    Time(civil::Time),
    Wall(civil::DateTime),
    /// In UTC.
    Instant(civil::DateTime),
    Interval {
        months: i64,
        days: i64,
        micros: i64,
    },
    Json(String),
    Texts(Vec<Option<String>>),
    Numbers(Vec<Option<i64>>),
    Object {
        city: Option<String>,
        floor: Option<i64>,
    },
    Bytes(Vec<u8>),
}

pub type Row = Vec<Cell>;

/// All rows.
pub fn rows() -> Vec<Row> {
    let row = |number: u64| COLUMNS.iter().enumerate().map(|(at, (_, kind))| cell(*kind, at as u64, number)).collect();
    (0..ROWS).map(row).collect()
}

fn cell(kind: Kind, column: u64, row: u64) -> Cell {
    match kind {
        // Beyond 2^53, where a double has no odd numbers any more.
        Kind::Key => return Cell::Whole(9_007_199_254_740_993 + i128::from(row)),
        Kind::Email => return Cell::Text(format!("p{row}@example.com")),
        // Each of the three in ten rows.
        Kind::Unlimited if row % 1000 == 7 => return Cell::Double(f64::NAN),
        Kind::Unlimited if row % 1000 == 8 => return Cell::Double(f64::INFINITY),
        Kind::Unlimited if row % 1000 == 9 => return Cell::Double(f64::NEG_INFINITY),
        _ => {}
    }
    if (row + column) % 11 == 10 {
        return Cell::Null;
    }
    let mut dice = Dice(row * 64 + column);
    match edges(kind).into_iter().nth(usize::try_from(row).unwrap_or(usize::MAX)) {
        Some(edge) => edge,
        None => drawn(kind, &mut dice),
    }
}

fn day(text: &str) -> civil::Date {
    text.parse().unwrap()
}

fn moment(text: &str) -> civil::DateTime {
    text.parse().unwrap()
}

fn interval(months: i64, days: i64, micros: i64) -> Cell {
    Cell::Interval { months, days, micros }
}

const HUGE: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

/// What a kind must be able to hold, from one end to the other.
fn edges(kind: Kind) -> Vec<Cell> {
    let texts = |texts: &[&str]| texts.iter().map(|t| Cell::Text((*t).to_owned())).collect();
    match kind {
        Kind::Whole => [0, 1, -1, i32::MAX.into(), i32::MIN.into()].map(Cell::Whole).into(),
        Kind::Wide => [0, 9_007_199_254_740_993, i64::MAX.into(), i64::MIN.into()].map(Cell::Whole).into(),
        Kind::Huge => [0, HUGE, -HUGE, 18_446_744_073_709_551_616].map(Cell::Whole).into(),
        Kind::Price => [0, 1, -1, 1250, 1200, 999_999_999_999].map(|n| Cell::Decimal(n, 2)).into(),
        Kind::Exact => [0, 1, -1, HUGE, -HUGE, 10_i128.pow(18)].map(|n| Cell::Decimal(n, 18)).into(),
        Kind::Single => [0.0, 0.1, -0.1, 16_777_216.0, 1.5e-30, 3.4e38].map(Cell::Single).into(),
        Kind::Double => [0.0, 0.1, 0.30000000000000004, 1e15, 1e21, 1.7976931348623157e308, 2.2250738585072014e-308]
            .map(Cell::Double)
            .into(),
        Kind::Unlimited => [0.0, 1.0].map(Cell::Double).into(),
        Kind::Text => texts(&[
            "",
            " ",
            "null",
            "NULL",
            "007",
            "1e5",
            "2026-01-31",
            "true",
            "O'Hara",
            "say \"hi\"",
            "back\\slash",
            "\\x41",
            "line\nbreak\r\n",
            "\ttab",
            "{{ row.id }}",
            "$1 %s ?",
            "Zoë",
            "Zoe\u{308}",
            "日本語",
            "🦊👩‍👩‍👧",
            "\u{7f}\u{1}",
            "\u{feff}bom",
            "a\u{2028}b",
        ]),
        Kind::Date => ["1970-01-01", "1969-12-31", "2024-02-29", "1582-10-10", "0001-01-01", "9999-12-31"]
            .map(|d| Cell::Date(day(d)))
            .into(),
        Kind::Time => {
            ["00:00:00", "23:59:59.999999", "08:30:00", "12:00:00.5"].map(|t| Cell::Time(t.parse().unwrap())).into()
        }
        Kind::Wall => {
            ["1970-01-01T00:00:00", "1969-12-31T23:59:59.999999", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]
                .map(|t| Cell::Wall(moment(t)))
                .into()
        }
        // An hour that a clock in Berlin shows twice, one it never shows, and the ends.
        Kind::Instant => [
            "2026-10-25T00:30:00",
            "2026-10-25T01:30:00",
            "2026-03-29T01:30:00",
            "1700-01-01T00:00:00",
            "9999-12-30T23:59:59.999999",
        ]
        .map(|t| Cell::Instant(moment(t)))
        .into(),
        Kind::Months => [0, 1, 12, 14, -1, -30].map(|m| interval(m, 0, 0)).into(),
        Kind::Clock => [0, 1, 500_000, 3_661_000_000, 86_399_999_999, -1_500_000].map(|t| interval(0, 0, t)).into(),
        Kind::Span => [(14, 3, 14_706_500_000), (0, 1, 0), (-1, 2, -3_000_000), (0, 0, 360_000_000_000), (0, -40, 1)]
            .map(|(m, d, t)| interval(m, d, t))
            .into(),
        Kind::Json => [
            "null",
            "true",
            "7",
            "\"text\"",
            "[]",
            "{}",
            "[1,[2,[3]]]",
            "{\"zeta\":1,\"a\":{\"mm\":null,\"b\":[\"x\",2.5]}}",
            "[12345678901234567890123456789,0.10000000000000000001]",
            "{\"Ü\":\"日本\\n\"}",
            "{\"it's\":\"\\\\\"}",
        ]
        .map(|j| Cell::Json(j.to_owned()))
        .into(),
        Kind::Texts => vec![
            Cell::Texts(vec![]),
            Cell::Texts(vec![None]),
            Cell::Texts(vec![
                Some("a,b".into()),
                Some("\"c\"".into()),
                Some("{d}".into()),
                Some("\\".into()),
                Some("".into()),
            ]),
            Cell::Texts(vec![Some("NULL".into()), None, Some("O'Hara".into())]),
        ],
        Kind::Numbers => vec![Cell::Numbers(vec![]), Cell::Numbers(vec![Some(i64::MAX), None, Some(i64::MIN)])],
        Kind::Object => vec![
            Cell::Object { city: None, floor: None },
            Cell::Object { city: Some("Ulm \"1\"".into()), floor: Some(-1) },
        ],
        Kind::Bytes => vec![Cell::Bytes(vec![]), Cell::Bytes(vec![0, 255]), Cell::Bytes((0..=255).collect())],
        Kind::Uuid => texts(&["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        Kind::Key | Kind::Email | Kind::Flag => vec![],
    }
}

/// A value like those that are everywhere.
fn drawn(kind: Kind, dice: &mut Dice) -> Cell {
    let micros = |dice: &mut Dice| dice.below(86_400_000_000) as i64;
    match kind {
        Kind::Key | Kind::Email => Cell::Null,
        Kind::Whole => Cell::Whole(i128::from(dice.next() as i32)),
        Kind::Wide => Cell::Whole(i128::from(dice.next() as i64)),
        Kind::Huge => Cell::Whole(i128::from(dice.next()) * i128::from(dice.below(1 << 60)) - (1 << 100)),
        Kind::Flag => Cell::Flag(dice.below(2) == 0),
        Kind::Price => Cell::Decimal(i128::from(dice.below(10_000_000)) - 1_000_000, 2),
        Kind::Exact => Cell::Decimal(i128::from(dice.next()) * 1_000_003 - (1 << 80), 18),
        Kind::Single => Cell::Single(dice.below(1_000_000) as f32 / 128.0 - 999.3),
        Kind::Double | Kind::Unlimited => Cell::Double((dice.next() >> 11) as f64 / 1e10 - 1e5),
        Kind::Text => {
            let words =
                ["Ann", "O'Hara", "Zoë", "日本", "🦊", "\"q\"", "\\", "\n", " ", ",", ";", "50 %", "a@x.io", "<b>"];
            let count = dice.below(6);
            Cell::Text((0..count).map(|_| words[dice.below(words.len() as u64) as usize]).collect())
        }
        Kind::Date => Cell::Date(drawn_day(dice)),
        Kind::Time => Cell::Time(time(micros(dice))),
        Kind::Wall => Cell::Wall(drawn_day(dice).to_datetime(time(micros(dice)))),
        Kind::Instant => Cell::Instant(drawn_day(dice).to_datetime(time(micros(dice)))),
        Kind::Months => interval(dice.below(600) as i64 - 300, 0, 0),
        Kind::Clock => interval(0, 0, micros(dice) * if dice.below(4) == 0 { -1 } else { 1 }),
        Kind::Span => interval(dice.below(30) as i64 - 9, dice.below(60) as i64 - 20, micros(dice) - 9_000_000_000),
        Kind::Json => {
            let (n, word) = (dice.below(1_000_000), ["a", "Ü", "\\\"", "日"][dice.below(4) as usize]);
            Cell::Json(format!("{{\"plan\":\"{word}\",\"n\":{n}.25,\"ok\":{},\"tags\":[\"x\",null,{n}]}}", n % 2 == 0))
        }
        Kind::Texts => {
            let words = [Some("red"), Some("blue, light"), None, Some("Grün"), Some("it's")];
            let count = dice.below(4);
            Cell::Texts((0..count).map(|_| words[dice.below(5) as usize].map(str::to_owned)).collect())
        }
        Kind::Numbers => {
            let count = dice.below(5);
            Cell::Numbers((0..count).map(|_| (dice.below(9) > 0).then(|| dice.next() as i64)).collect())
        }
        Kind::Object => {
            let city = (dice.below(5) > 0)
                .then(|| format!("{} {}", ["Ulm", "Köln", "L'Aquila"][dice.below(3) as usize], dice.below(90)));
            Cell::Object { city, floor: (dice.below(5) > 0).then(|| dice.below(40) as i64 - 3) }
        }
        Kind::Bytes => {
            let count = dice.below(24);
            Cell::Bytes((0..count).map(|_| dice.next() as u8).collect())
        }
        Kind::Uuid => {
            let bytes = (u128::from(dice.next()) << 64 | u128::from(dice.next())).to_be_bytes();
            Cell::Text(uuid::Uuid::from_bytes(bytes).to_string())
        }
    }
}

/// A day between 1800 and 2200.
fn drawn_day(dice: &mut Dice) -> civil::Date {
    day("1800-01-01").saturating_add(jiff::Span::new().days(dice.below(146_000) as i64))
}

/// The time of day so many microseconds after midnight.
fn time(micros: i64) -> civil::Time {
    civil::Time::midnight().wrapping_add(jiff::Span::new().microseconds(micros))
}

/// SplitMix64: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
