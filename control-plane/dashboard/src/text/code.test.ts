import { expect, test } from 'vitest';
import { readCode } from './code';

test('a code is understood as people type it', () => {
  for (const typed of ['AB3D-90GH', 'ab3d90gh', ' AB3D 9OGH ', 'https://heron.local:8443/pair/AB3D-90GH']) {
    expect(readCode(typed)).toBe('AB3D-90GH');
  }
  expect(readCode('ilIL-0o00')).toBe('1111-0000');
});

test('what is no code is none', () => {
  for (const typed of ['', 'AB3D-90G', 'AB3D-90GHJ', 'AB3D-90GU', 'ÄB3D-90GH', 'https://heron.local/']) {
    expect(readCode(typed)).toBeUndefined();
  }
});
