/** The token with which this browser speaks MQTT. */

import { request } from './client';

export interface BrowserToken {
  tenant: string;
  browser: string;
  token: string;
  expires_in_s: number;
  mqtt_path: string;
}

/** Asks for a token; with the id of this browser it keeps that id, and its sessions go on. */
export const browserToken = (browser?: string): Promise<BrowserToken> =>
  request('POST', '/browser-token', browser === undefined ? {} : { browser });
