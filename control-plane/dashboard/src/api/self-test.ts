/** Servers to test a network with. */

import type { IceServer } from '../signalling/messages';
import { request } from './client';

export interface SelfTest {
  ice_servers: IceServer[];
  expires_in_s: number;
}

export const beginSelfTest = (): Promise<SelfTest> => request('POST', '/self-test');
