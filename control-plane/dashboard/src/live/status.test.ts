import { expect, test } from 'vitest';
import type { Status } from '../rtc/player';
import { statusText } from './status';

test('a person is told what happens, and what to do', () => {
  expect(statusText({ at: 'playing' }, '')).toMatchObject({ headline: 'Live', tone: 'live', again: false });
  expect(statusText({ at: 'interrupted' }, '')).toMatchObject({ headline: 'Looking for another path…', tone: 'mending' });

  const lost = { reason: 'viewer_vanished', detail: '' } as const;
  for (const at of ['opening', 'answering', 'connecting'] as const) {
    expect(statusText({ at, after: lost }, '').headline).toBe('Connection lost: reconnecting…');
  }
  expect(statusText({ at: 'opening', after: { reason: 'no_answer', detail: '' } }, '').headline).toMatch(/^No answer/);

  const offline = statusText({ at: 'offline' }, 'Its power or network went away.');
  expect(offline.detail).toMatch(/^Its power or network went away. The picture starts by itself/);

  const untrusted: Status = { at: 'stopped', end: { reason: 'untrusted', detail: 'Another camera answered.' } };
  expect(statusText(untrusted, '')).toMatchObject({
    ...{ headline: 'Not trusted: no picture is shown', detail: 'Another camera answered.', tone: 'bad', again: true },
  });

  const refused: Status = { at: 'stopped', end: { reason: 'not_allowed', detail: '' } };
  expect(statusText(refused, '')).toMatchObject({
    ...{ headline: 'The picture was refused', detail: 'You may not watch this camera.' },
  });
});

test('a camera that is kept out does not come back by itself', () => {
  const text = statusText({ at: 'offline' }, 'Since yesterday.', 'revoked');
  expect(text).toEqual({ headline: 'Camera is revoked', detail: 'Its identity page says why.', tone: 'bad', again: false });
  // The picture that is still there is.
  expect(statusText({ at: 'playing' }, '', 'quarantined').headline).toBe('Live');
});
