/** Tones: one to say into a microphone, and how much of it is in what a loudspeaker played. */

export const RATE = 48_000;
export const HERTZ = 1000;

/** Bursts of the tone with pauses in between, as noise suppression lets them pass: a WAV file, mono, in 16 bits. */
export function bursts(seconds: number): Buffer {
  const samples = Buffer.alloc(2 * RATE * seconds);
  for (let at = 0; at < RATE * seconds; at += 1) {
    const loud = at % (RATE / 2) < RATE / 4;
    const value = loud ? 12_000 * Math.sin((2 * Math.PI * HERTZ * at) / RATE) : 0;
    samples.writeInt16LE(Math.round(value), 2 * at);
  }
  const head = Buffer.alloc(44);
  head.write('RIFF');
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(2 * RATE, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

/** The tenth of a second of these samples with the loudest tone: how loud it is (RMS), and which part of it is the tone. */
export function loudest(samples: Int16Array): { rms: number; tone: number } {
  const size = RATE / 10;
  let best = { rms: 0, tone: 0 };
  for (let begin = 0; begin + size <= samples.length; begin += size) {
    let energy = 0;
    let real = 0;
    let imaginary = 0;
    for (let at = 0; at < size; at += 1) {
      const sample = samples[begin + at] ?? 0;
      const angle = (2 * Math.PI * HERTZ * at) / RATE;
      energy += sample * sample;
      real += sample * Math.cos(angle);
      imaginary += sample * Math.sin(angle);
    }
    const rms = Math.sqrt(energy / size);
    // A pure tone has all its energy in one place: amplitude squared, halved.
    const tone = energy === 0 ? 0 : (2 * (real * real + imaginary * imaginary)) / (size * energy);
    if (rms * rms * tone > best.rms * best.rms * best.tone) best = { rms, tone };
  }
  return best;
}
