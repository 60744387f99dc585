//! Random programs without a fuzzer's engine, for a stable toolchain: bytes, and changes of bytes that are known to go far.

/// By xorshift.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The seed tells all that follows.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// A new program, or one made of those that are there.
    pub fn program(&mut self, known: &[Vec<u8>]) -> Vec<u8> {
        if known.is_empty() || self.below(2) == 0 {
            let steps = 1 + self.below(80);
            return (0..7 + 2 * steps).map(|_| self.byte()).collect();
        }
        let mut data = known[self.below(known.len())].clone();
        for _ in 0..=self.below(6) {
            let place = self.below(data.len() + 1);
            match self.below(4) {
                0 => {
                    // Another program's end.
                    let other = &known[self.below(known.len())];
                    data.truncate(place);
                    data.extend(other.iter().skip(place));
                }
                1 => {
                    data.splice(place..place, [self.byte(), self.byte()]);
                }
                2 if place < data.len() => {
                    data.drain(place..data.len().min(place + 2));
                }
                _ if place < data.len() => data[place] = self.byte(),
                _ => data.push(self.byte()),
            }
        }
        data
    }
}

/// A shorter program that fails, too. `fails` is asked about each candidate.
pub fn shrink(data: &[u8], mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut data = data.to_vec();
    let mut size = data.len() / 2;
    while size > 0 {
        let mut place = 0;
        let mut has_shrunk = false;
        while place < data.len() {
            let mut candidate = data.clone();
            candidate.drain(place..data.len().min(place + size));
            if fails(&candidate) {
                data = candidate;
                has_shrunk = true;
            } else {
                // A step may begin at any place.
                place += size.div_ceil(2);
            }
        }
        if !has_shrunk {
            size = if size > 2 { size / 2 } else { size - 1 };
        }
    }
    for place in 0..data.len() {
        for byte in [0, data[place] & 0x0f, data[place] & 0xf0, data[place] / 2] {
            let mut candidate = data.clone();
            candidate[place] = byte;
            if byte < data[place] && fails(&candidate) {
                data = candidate;
                break;
            }
        }
    }
    data
}
