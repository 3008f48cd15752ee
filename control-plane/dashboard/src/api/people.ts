/** Signing in and out. */

import { Problem, request } from './client';

export interface Me {
  id: string;
  name: string;
  role: string;
  tenant: string;
}

export const signIn = (name: string, password: string): Promise<Me> =>
  request('POST', '/sign-in', { name, password });

export const signOut = (): Promise<void> => request('POST', '/sign-out');

/** Who is signed in here, if anybody. */
export async function whoAmI(): Promise<Me | undefined> {
  try {
    return await request<Me>('GET', '/me');
  } catch (error) {
    if (error instanceof Problem && error.signedOut) return undefined;
    throw error;
  }
}
