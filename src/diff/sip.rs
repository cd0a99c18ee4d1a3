//! SipHash-1-3 with 128 bits of many messages at a time: eight states side by side, so that a processor with wide
//! registers does the same step for several of them in one instruction. The results are those of one at a time.

#[cfg(target_arch = "x86_64")]
mod wide;

use siphasher::sip128::SipHasher13;

use super::Hash;

/// Messages hashed together.
const LANES: usize = 8;
/// Words of the longest message hashed with others, its end included.
const WORDS: usize = 12;

/// One word of each message.
type Lanes = [u64; LANES];

/// A key, and what it hashes.
pub(super) struct Sip {
    words: [u64; 2],
    one: SipHasher13,
    /// The processor has registers of 512 bits.
    wide: bool,
}

impl Sip {
    /// Under this key.
    pub(super) fn new(key: &[u8; 16]) -> Sip {
        let number = u128::from_le_bytes(*key);
        #[cfg(target_arch = "x86_64")]
        let wide = wide::available();
        #[cfg(not(target_arch = "x86_64"))]
        let wide = false;
        Sip { words: [number as u64, (number >> 64) as u64], one: SipHasher13::new_with_key(key), wide }
    }

    /// Hashes numbers, each as 16 bytes, the lowest first.
    pub(super) fn numbers(&self, numbers: &[u128], out: &mut Vec<Hash>) {
        for some in numbers.chunks(LANES) {
            let mut eight = [0; LANES];
            eight[..some.len()].copy_from_slice(some);
            out.extend(&self.eight_numbers(&eight)[..some.len()]);
        }
    }

    fn eight_numbers(&self, numbers: &[u128; LANES]) -> [Hash; LANES] {
        #[cfg(target_arch = "x86_64")]
        if self.wide {
            // SAFETY: the processor has been asked.
            return unsafe { wide::numbers(numbers, self.words) };
        }
        let low = numbers.map(|number| number as u64);
        let high = numbers.map(|number| (number >> 64) as u64);
        self.block(&Block { words: [low, high, [16 << 56; LANES]], counts: [3; LANES] })
    }

    /// Hashes texts, each as the message that consists of a tag, the length in 8 bytes and the text.
    pub(super) fn texts<'t>(&self, tag: u8, mut texts: impl Iterator<Item = &'t [u8]>, out: &mut Vec<Hash>) {
        loop {
            let mut some: [&[u8]; LANES] = [&[]; LANES];
            let mut count = 0;
            for (place, text) in some.iter_mut().zip(texts.by_ref().take(LANES)) {
                *place = text;
                count += 1;
            }
            match self.eight_texts(tag, &some) {
                Some(hashes) => out.extend(&hashes[..count]),
                None => out.extend(some[..count].iter().map(|text| {
                    let message = [&[tag], (text.len() as u64).to_le_bytes().as_slice(), text].concat();
                    self.one.hash(&message).as_u128()
                })),
            }
            if count < LANES {
                return;
            }
        }
    }

    #[inline]
    fn eight_texts(&self, tag: u8, texts: &[&[u8]; LANES]) -> Option<[Hash; LANES]> {
        #[cfg(target_arch = "x86_64")]
        if self.wide
            // SAFETY: the processor has been asked.
            && let Some(hashes) = unsafe { wide::texts(tag, texts, self.words) }
        {
            return Some(hashes);
        }
        Some(self.block(&Block::<WORDS>::texts(tag, texts)?))
    }

    /// Hashes messages that stand one after the other in `bytes`; `ends` says where each ends.
    pub(super) fn messages(&self, bytes: &[u8], ends: &[usize], out: &mut Vec<Hash>) {
        let mut start = 0;
        for some in ends.chunks(LANES) {
            let mut messages: [&[u8]; LANES] = [&[]; LANES];
            for (message, end) in messages.iter_mut().zip(some) {
                *message = bytes.get(start..*end).unwrap_or_default();
                start = *end;
            }
            let messages = &messages[..some.len()];
            match Block::<WORDS>::new(messages) {
                Some(block) => out.extend(&self.block(&block)[..some.len()]),
                None => out.extend(messages.iter().map(|message| self.one.hash(message).as_u128())),
            }
        }
    }

    fn block<const W: usize>(&self, block: &Block<W>) -> [Hash; LANES] {
        #[cfg(target_arch = "x86_64")]
        {
            if self.wide {
                // SAFETY: the processor has been asked.
                return unsafe { wide::block(block, self.words) };
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has just been asked.
                return unsafe { half(block, self.words) };
            }
        }
        hash(block, self.words)
    }
}

/// The bytes before a text: its kind and its length.
const PREFIX: usize = 9;

/// Messages as words, and how many each has.
struct Block<const W: usize> {
    words: [Lanes; W],
    counts: Lanes,
}

impl<const W: usize> Block<W> {
    /// `None` when one is too long.
    #[inline]
    fn new(messages: &[&[u8]]) -> Option<Self> {
        let mut block = Block { words: [[0; LANES]; W], counts: [0; LANES] };
        for (lane, message) in messages.iter().enumerate() {
            let (words, rest) = message.as_chunks::<8>();
            if words.len() >= W {
                return None;
            }
            for (place, word) in block.words.iter_mut().zip(words) {
                place[lane] = u64::from_le_bytes(*word);
            }
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            block.words[words.len()][lane] = u64::from_le_bytes(last) | (message.len() as u64) << 56;
            block.counts[lane] = words.len() as u64 + 1;
        }
        Some(block)
    }

    /// Of texts with their tag and length before them; `None` when one is too long.
    #[inline]
    fn texts(tag: u8, texts: &[&[u8]]) -> Option<Self> {
        let mut block = Block { words: [[0; LANES]; W], counts: [0; LANES] };
        for (lane, text) in texts.iter().enumerate() {
            let length = PREFIX + text.len();
            if length / 8 >= W {
                return None;
            }
            let end = (length as u64) << 56;
            block.words[0][lane] = u64::from(tag) | (text.len() as u64) << 8;
            // The highest byte of the length comes before the text and is zero.
            match (text.first_chunk::<8>(), text.last_chunk::<8>(), text.get(7..)) {
                (Some(first), Some(last), Some(rest)) => {
                    block.words[1][lane] = u64::from_le_bytes(*first) << 8;
                    let (words, rest) = rest.as_chunks::<8>();
                    for (place, word) in block.words[2..].iter_mut().zip(words) {
                        place[lane] = u64::from_le_bytes(*word);
                    }
                    let rest = if rest.is_empty() { 0 } else { u64::from_le_bytes(*last) >> (8 * (8 - rest.len())) };
                    block.words[2 + words.len()][lane] = rest | end;
                }
                _ => {
                    let mut bytes = [0; 16];
                    bytes[1..=text.len()].copy_from_slice(text);
                    let (words, _) = bytes.as_chunks::<8>();
                    block.words[1][lane] = u64::from_le_bytes(words[0]);
                    block.words[length / 8][lane] |= end;
                }
            }
            block.counts[lane] = (length / 8) as u64 + 1;
        }
        Some(block)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn half<const W: usize>(block: &Block<W>, key: [u64; 2]) -> [Hash; LANES] {
    hash(block, key)
}

// Loops over numbers and not over iterators: those are functions of their own, which the compiler does not always make
// one with a function that may use wider registers than they may. Measured, in a build of 16 units and without optimising
// when linking: more than six times as long.

#[inline(always)]
fn hash<const W: usize>(block: &Block<W>, [k0, k1]: [u64; 2]) -> [Hash; LANES] {
    let mut v = [
        [k0 ^ 0x736f_6d65_7073_6575; LANES],
        [k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee; LANES],
        [k0 ^ 0x6c79_6765_6e65_7261; LANES],
        [k1 ^ 0x7465_6462_7974_6573; LANES],
    ];
    let mut most = 0;
    let mut fewest = u64::MAX;
    let mut lane = 0;
    while lane < LANES {
        let count = block.counts[lane];
        most = if count > most { count } else { most };
        fewest = if count < fewest { count } else { fewest };
        lane += 1;
    }
    most = if most < W as u64 { most } else { W as u64 };
    let mut at = 0;
    while at < most {
        let words = block.words[at as usize];
        let mut next = v;
        next[3] = xor(next[3], words);
        round(&mut next);
        next[0] = xor(next[0], words);
        if at < fewest {
            v = next;
        } else {
            // A message that has ended stays as it is.
            let mut state = 0;
            while state < v.len() {
                let mut lane = 0;
                while lane < LANES {
                    v[state][lane] = if at < block.counts[lane] { next[state][lane] } else { v[state][lane] };
                    lane += 1;
                }
                state += 1;
            }
        }
        at += 1;
    }
    v[2] = xor(v[2], [0xee; LANES]);
    round(&mut v);
    round(&mut v);
    round(&mut v);
    let low = xor(xor(v[0], v[1]), xor(v[2], v[3]));
    v[1] = xor(v[1], [0xdd; LANES]);
    round(&mut v);
    round(&mut v);
    round(&mut v);
    let high = xor(xor(v[0], v[1]), xor(v[2], v[3]));
    let mut hashes = [0; LANES];
    let mut lane = 0;
    while lane < LANES {
        hashes[lane] = low[lane] as u128 | (high[lane] as u128) << 64;
        lane += 1;
    }
    hashes
}

#[inline(always)]
fn round(v: &mut [Lanes; 4]) {
    v[0] = add(v[0], v[1]);
    v[2] = add(v[2], v[3]);
    v[1] = xor(rotate::<13>(v[1]), v[0]);
    v[3] = xor(rotate::<16>(v[3]), v[2]);
    v[0] = rotate::<32>(v[0]);
    v[2] = add(v[2], v[1]);
    v[0] = add(v[0], v[3]);
    v[1] = xor(rotate::<17>(v[1]), v[2]);
    v[3] = xor(rotate::<21>(v[3]), v[0]);
    v[2] = rotate::<32>(v[2]);
}

#[inline(always)]
fn add(mut a: Lanes, b: Lanes) -> Lanes {
    let mut lane = 0;
    while lane < LANES {
        a[lane] = a[lane].wrapping_add(b[lane]);
        lane += 1;
    }
    a
}

#[inline(always)]
fn xor(mut a: Lanes, b: Lanes) -> Lanes {
    let mut lane = 0;
    while lane < LANES {
        a[lane] ^= b[lane];
        lane += 1;
    }
    a
}

#[inline(always)]
fn rotate<const BITS: u32>(mut a: Lanes) -> Lanes {
    let mut lane = 0;
    while lane < LANES {
        a[lane] = a[lane].rotate_left(BITS);
        lane += 1;
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_a_time_give_what_one_at_a_time_gives() {
        let key = *b"0123456789abcdef";
        let (sip, one) = (Sip::new(&key), SipHasher13::new_with_key(&key));
        let text: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
        // Lengths in an order that mixes short and long ones, up to some that are too long to go with others.
        let lengths: Vec<usize> = (0..500).map(|i| if i < 300 { i * 7 % 61 } else { i * 13 % 250 }).collect();
        let ends: Vec<usize> = lengths
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect();
        let mut hashes = Vec::new();
        sip.messages(&text, &ends, &mut hashes);
        let starts = std::iter::once(&0).chain(&ends);
        let messages: Vec<&[u8]> = starts.zip(&ends).map(|(start, end)| &text[*start..*end]).collect();
        let expected: Vec<Hash> = messages.iter().map(|message| one.hash(message).as_u128()).collect();
        assert_eq!(hashes, expected);
        let narrow = Sip { wide: false, ..Sip::new(&key) };
        let mut hashes = Vec::new();
        narrow.messages(&text, &ends, &mut hashes);
        assert_eq!(hashes, expected, "without registers of 512 bits");
        let plain = hash(&Block::<WORDS>::new(&messages[..LANES]).unwrap(), sip.words);
        assert_eq!(plain, expected[..LANES], "without wide registers");

        let prefixed = |text: &[u8]| [&[6], (text.len() as u64).to_le_bytes().as_slice(), text].concat();
        let texts: Vec<&[u8]> =
            messages.iter().map(|message| &message[..]).chain((0..30).map(|n| &text[n..n * 2])).collect();
        let expected: Vec<Hash> = texts.iter().map(|text| one.hash(&prefixed(text)).as_u128()).collect();
        for sip in [&sip, &narrow] {
            let mut hashes = Vec::new();
            sip.texts(6, texts.iter().copied(), &mut hashes);
            assert_eq!(hashes, expected, "texts with tag and length");
        }

        let spread = |n: u128| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let numbers: Vec<u128> = (0..37).map(spread).collect();
        let expected: Vec<Hash> = numbers.iter().map(|n| one.hash(&n.to_le_bytes()).as_u128()).collect();
        for sip in [sip, narrow] {
            let mut hashes = Vec::new();
            sip.numbers(&numbers, &mut hashes);
            assert_eq!(hashes, expected);
        }
    }
}
