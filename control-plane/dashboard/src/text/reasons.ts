/** Reasons of the protocol, in sentences for a person. */

import type { CallEnd } from '../rtc/call';
import { sentence } from './format';

const OFFLINE: Record<string, string> = {
  connection_lost: 'its power or network went away',
  shutdown: 'its service was stopped',
  restart: 'its service is restarting',
  reboot: 'it is rebooting',
  power: 'its power went away',
  network: 'its network went away',
  broker: 'the broker was away, or turned it down',
  certificate: 'a certificate was not accepted',
  watchdog: 'its watchdog reset it',
  crash: 'its service crashed',
  update: 'it is being updated',
  thermal: 'it became too hot',
  under_voltage: 'its supply voltage was too low',
  revoked: 'its identity was revoked',
  quarantined: 'it was put into quarantine',
};

/** Why a camera is not there, to follow "Offline:"; empty when nothing is known. */
export function offlineReason(reason: string | null): string {
  if (reason === null) return '';
  return OFFLINE[reason] ?? reason.replaceAll('_', ' ');
}

const AWAY: Record<string, string> = {
  connection_lost: 'its power or network had gone away',
  shutdown: 'its service had been stopped',
  restart: 'its service was restarted',
  reboot: 'it was rebooted',
  power: 'its power had gone away',
  network: 'its network had gone away',
  broker: 'the broker had been away, or had turned it down',
  watchdog: 'its watchdog had reset it',
  crash: 'its service had crashed',
  update: 'it was updated',
  thermal: 'it had become too hot',
  under_voltage: 'its supply voltage had been too low',
};

/** Why a camera that is back had been away; empty when nothing is known. */
export function awayReason(reason: string | null): string {
  if (reason === null) return '';
  return AWAY[reason] ?? offlineReason(reason);
}

const ENDS: Record<string, string> = {
  viewer_closed: 'You closed it.',
  viewer_vanished: 'The connection to the camera was lost.',
  no_path: 'No way through the network to the camera was found.',
  no_answer: 'The camera did not answer in time.',
  camera_offline: 'The camera is offline.',
  camera_shutdown: "The camera's service stopped.",
  grant_refused: 'The camera refused to be watched.',
  not_allowed: 'You may not watch this camera.',
  limit: 'Too many people are watching. Try again in a moment.',
  bad_message: 'The camera or the control plane did not understand this page. Reload it.',
  failed: 'Something broke.',
  untrusted: 'The answer did not come from this camera.',
  unsignalled: 'The control plane cannot be reached.',
};

/** Why a call ended, with the other side's own words where it gave some. */
export function endSentence({ reason, detail }: CallEnd): string {
  const known = ENDS[reason] ?? `It ended: ${String(reason).replaceAll('_', ' ')}.`;
  if (detail === '' || detail === known) return known;
  return reason === 'untrusted' || reason === 'failed' ? sentence(detail) : `${known} (${detail})`;
}

const STORED_ENDS: Record<string, string> = {
  viewer_closed: 'closed by viewer',
  viewer_vanished: 'connection lost',
  no_path: 'no path found',
  no_answer: 'no answer',
  camera_offline: 'camera offline',
  camera_shutdown: 'camera stopped',
  grant_refused: 'grant refused',
  not_allowed: 'not allowed',
  limit: 'limit reached',
  bad_message: 'bad message',
  failed: 'failed',
};

/** A stored end reason, in a word or two for the table. */
export const storedEnd = (reason: string): string => STORED_ENDS[reason] ?? reason.replaceAll('_', ' ');
