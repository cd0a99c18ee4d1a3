//! The same with registers of 512 bits, each of which holds one word of all eight states.
//!
//! In instructions of the processor: of loops over eight numbers the compiler kept some states in ordinary registers and
//! moved them to and fro, which took three times as long.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_cmpgt_epu64_mask, _mm512_loadu_epi64, _mm512_mask_mov_epi8,
    _mm512_mask_mov_epi64, _mm512_maskz_loadu_epi8, _mm512_or_si512, _mm512_permutex2var_epi64, _mm512_rol_epi64,
    _mm512_set1_epi8, _mm512_set1_epi64, _mm512_setr_epi64, _mm512_shuffle_i64x2, _mm512_slli_epi64,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::{Block, Hash, LANES, Lanes};

/// Bytes of the longest text hashed by [`texts`]: with the byte before it and the one that ends the message, it fills
/// eight words.
const LONGEST: usize = 62;

/// True when this processor has the instructions.
pub(super) fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw")
}

/// Hashes messages that stand there as words.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn block<const W: usize>(block: &Block<W>, key: [u64; 2]) -> [Hash; LANES] {
    let mut words = [_mm512_set1_epi64(0); W];
    for (word, lanes) in words.iter_mut().zip(&block.words) {
        *word = load(lanes);
    }
    hash(&words, &block.counts, key)
}

/// Hashes numbers of 128 bits, each as 16 bytes, the lowest first.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn numbers(numbers: &[u128; LANES], key: [u64; 2]) -> [Hash; LANES] {
    // SAFETY: both are 128 bytes, of which any are valid.
    let [first, second] = unsafe { std::mem::transmute::<[u128; LANES], [Lanes; 2]>(*numbers) };
    let (first, second) = (load(&first), load(&second));
    let low = _mm512_permutex2var_epi64(first, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), second);
    let high = _mm512_permutex2var_epi64(first, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), second);
    hash(&[low, high, _mm512_set1_epi64(16 << 56)], &[3; LANES], key)
}

/// Hashes texts, each as the message that consists of a tag, the length in 8 bytes and the text; `None` when one of them
/// is too long.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn texts(tag: u8, texts: &[&[u8]; LANES], key: [u64; 2]) -> Option<[Hash; LANES]> {
    let mut rows = [_mm512_set1_epi64(0); LANES];
    let (mut lengths, mut counts) = ([0; LANES], [0; LANES]);
    for lane in 0..LANES {
        let text = texts[lane];
        if text.len() > LONGEST {
            return None;
        }
        let length = text.len() as u64;
        // The highest byte of the length comes before the text and is zero; the message ends with its own length, in the
        // highest byte of the word after its last byte.
        let bytes = (1 << (length + 1)) - 2;
        let end = 1 << ((length + 1) / 8 * 8 + 7);
        // SAFETY: of the 64 bytes from the one before the text, only those of the text are read.
        let row = unsafe { _mm512_maskz_loadu_epi8(bytes, text.as_ptr().wrapping_sub(1).cast()) };
        rows[lane] = _mm512_mask_mov_epi8(row, end, _mm512_set1_epi8((super::PREFIX + text.len()) as i8));
        lengths[lane] = length;
        counts[lane] = (length + super::PREFIX as u64) / 8 + 1;
    }
    let first = _mm512_or_si512(_mm512_set1_epi64(i64::from(tag)), _mm512_slli_epi64::<8>(load(&lengths)));
    let [a, b, c, d, e, f, g, h] = transposed(rows);
    Some(hash(&[first, a, b, c, d, e, f, g, h], &counts, key))
}

/// Rows of eight words as columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let [a, b, c, d, e, f, g, h] = rows;
    let (ab, cd) = ((_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)), (c, d));
    let cd = (_mm512_unpacklo_epi64(cd.0, cd.1), _mm512_unpackhi_epi64(cd.0, cd.1));
    let ef = (_mm512_unpacklo_epi64(e, f), _mm512_unpackhi_epi64(e, f));
    let gh = (_mm512_unpacklo_epi64(g, h), _mm512_unpackhi_epi64(g, h));
    let four = |ab: __m512i, cd: __m512i, ef: __m512i, gh: __m512i| {
        // Each has pairs of words 0, 2, 4 and 6 (or 1, 3, 5 and 7) of two rows.
        let low = (_mm512_shuffle_i64x2::<0b10_00_10_00>(ab, cd), _mm512_shuffle_i64x2::<0b11_01_11_01>(ab, cd));
        let high = (_mm512_shuffle_i64x2::<0b10_00_10_00>(ef, gh), _mm512_shuffle_i64x2::<0b11_01_11_01>(ef, gh));
        [
            _mm512_shuffle_i64x2::<0b10_00_10_00>(low.0, high.0),
            _mm512_shuffle_i64x2::<0b10_00_10_00>(low.1, high.1),
            _mm512_shuffle_i64x2::<0b11_01_11_01>(low.0, high.0),
            _mm512_shuffle_i64x2::<0b11_01_11_01>(low.1, high.1),
        ]
    };
    let [w0, w2, w4, w6] = four(ab.0, cd.0, ef.0, gh.0);
    let [w1, w3, w5, w7] = four(ab.1, cd.1, ef.1, gh.1);
    [w0, w1, w2, w3, w4, w5, w6, w7]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(lanes: &Lanes) -> __m512i {
    // SAFETY: eight words are as many bytes as are read, and need not be aligned.
    unsafe { _mm512_loadu_epi64(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn hash(words: &[__m512i], counts: &Lanes, [k0, k1]: [u64; 2]) -> [Hash; LANES] {
    let all = |word: u64| _mm512_set1_epi64(word.cast_signed());
    let mut v = [
        all(k0 ^ 0x736f_6d65_7073_6575),
        all(k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee),
        all(k0 ^ 0x6c79_6765_6e65_7261),
        all(k1 ^ 0x7465_6462_7974_6573),
    ];
    let fewest = counts.iter().fold(u64::MAX, |fewest, count| fewest.min(*count));
    let most = counts.iter().fold(0, |most, count| most.max(*count));
    let lengths = load(counts);
    for (at, word) in (0u64..most).zip(words) {
        let mut next = v;
        next[3] = _mm512_xor_si512(next[3], *word);
        next = round(next);
        next[0] = _mm512_xor_si512(next[0], *word);
        if at < fewest {
            v = next;
        } else {
            // A message that has ended stays as it is.
            let goes_on = _mm512_cmpgt_epu64_mask(lengths, all(at));
            for (v, next) in v.iter_mut().zip(next) {
                *v = _mm512_mask_mov_epi64(*v, goes_on, next);
            }
        }
    }
    v[2] = _mm512_xor_si512(v[2], all(0xee));
    v = round(round(round(v)));
    let low = _mm512_xor_si512(_mm512_xor_si512(v[0], v[1]), _mm512_xor_si512(v[2], v[3]));
    v[1] = _mm512_xor_si512(v[1], all(0xdd));
    v = round(round(round(v)));
    let high = _mm512_xor_si512(_mm512_xor_si512(v[0], v[1]), _mm512_xor_si512(v[2], v[3]));
    let first = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), high);
    let second = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), high);
    // SAFETY: both are 128 bytes, of which any are valid; the lower word of a number comes first on this processor.
    unsafe { std::mem::transmute::<[__m512i; 2], [Hash; LANES]>([first, second]) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round([mut v0, mut v1, mut v2, mut v3]: [__m512i; 4]) -> [__m512i; 4] {
    v0 = _mm512_add_epi64(v0, v1);
    v2 = _mm512_add_epi64(v2, v3);
    v1 = _mm512_xor_si512(_mm512_rol_epi64::<13>(v1), v0);
    v3 = _mm512_xor_si512(_mm512_rol_epi64::<16>(v3), v2);
    v0 = _mm512_rol_epi64::<32>(v0);
    v2 = _mm512_add_epi64(v2, v1);
    v0 = _mm512_add_epi64(v0, v3);
    v1 = _mm512_xor_si512(_mm512_rol_epi64::<17>(v1), v2);
    v3 = _mm512_xor_si512(_mm512_rol_epi64::<21>(v3), v0);
    v2 = _mm512_rol_epi64::<32>(v2);
    [v0, v1, v2, v3]
}
