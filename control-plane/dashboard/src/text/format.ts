/** Numbers and times as a person reads them. */

const LOCALE = 'en';

/** `3 min ago`, `yesterday`; under a minute it is `just now`. */
export function ago(thenMs: number, nowMs: number): string {
  const seconds = Math.round((nowMs - thenMs) / 1000);
  if (seconds < 60) return 'just now';
  const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: 'auto', style: 'short' });
  if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), 'minute');
  if (seconds < 86_400) return relative.format(-Math.floor(seconds / 3600), 'hour');
  return relative.format(-Math.floor(seconds / 86_400), 'day');
}

/** `14:03` for today, `20 Nov, 14:03` for other days. */
export function clock(thenMs: number, nowMs: number): string {
  const then = new Date(thenMs);
  const sameDay = then.toDateString() === new Date(nowMs).toDateString();
  const time: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  return new Intl.DateTimeFormat('en-GB', sameDay ? time : { day: 'numeric', month: 'short', ...time }).format(then);
}

/** `22 Nov 2026`. */
export const day = (ms: number): string =>
  new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' }).format(ms);

/** `48 s`, `12 min`, `1 h 05 min`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** `820 kB`, `12.4 MB`, in powers of ten. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, count < 1 ? 0 : Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  return `${power > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** `640 kbit/s`, `2.4 Mbit/s`. */
export function bitRate(kbps: number): string {
  return kbps < 1000 ? `${Math.round(kbps)} kbit/s` : `${(kbps / 1000).toFixed(1)} Mbit/s`;
}

/** `42 %`; of a part that is not nothing never `0 %`. */
export function percent(part: number): string {
  if (part > 0 && part < 0.01) return '< 1 %';
  return `${Math.round(100 * part)} %`;
}

/** `12 ms`; under ten with a decimal. */
export function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** A line of a log or an API as a sentence: capital letter, full stop. */
export function sentence(line: string): string {
  const upper = line.charAt(0).toUpperCase() + line.slice(1);
  return /[.!?…]$/.test(upper) ? upper : `${upper}.`;
}
