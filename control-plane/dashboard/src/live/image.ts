/**
 * The controls of the camera's picture: brightness, exposure, and what else its driver has.
 *
 * What is moved is shown at once and sent to the camera; while one call is under way, later movements wait and go
 * together in the next. What the camera answers counts: a driver may round, and one control may free or hold another.
 */

import { createSignal } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';
import type { Caller } from './snapshot';

interface Common {
  /** What the camera calls it. */
  name: string;
  /** For a person. */
  label: string;
  /** Another control decides at the moment. */
  inactive?: boolean;
}

export type Control = Common &
  (
    | { kind: 'integer'; value: number; default: number; min: number; max: number; step: number }
    | { kind: 'boolean'; value: boolean; default: boolean }
    | { kind: 'menu'; value: number; default: number; menu: { value: number; label: string }[] }
  );

export type Value = number | boolean;

export interface Image {
  /** Those that this person may set; empty when there are none. */
  controls: readonly Control[];
  /** Why the last movement had no effect; empty when there is nothing to say. */
  trouble(): string;
  /** Asks a camera for its controls, once a connection. */
  attach(camera: Caller | undefined): void;
  set(name: string, value: Value): void;
  /** Sets everything to what the driver begins with. */
  reset(): void;
}

export function createImage(): Image {
  const [controls, setControls] = createStore<Control[]>([]);
  const [trouble, setTrouble] = createSignal('');
  let camera: Caller | undefined;
  let waiting: Record<string, Value> = {};
  let busy = false;

  /** What is waiting to be sent is newer than what the camera says. */
  const show = (list: Control[]) => {
    const shown = list.map((control) => ({ ...control, value: waiting[control.name] ?? control.value }) as Control);
    setControls(reconcile(shown, { key: 'name' }));
  };

  async function ask(asked: Caller, method: string, params?: Record<string, Value>): Promise<void> {
    const answer = (await asked.call(method, params)) as { controls?: Control[]; settable?: boolean };
    if (asked === camera) show(answer.settable ? (answer.controls ?? []) : []);
  }

  async function send(): Promise<void> {
    if (busy) return;
    busy = true;
    while (camera && Object.keys(waiting).length > 0) {
      const asked = camera;
      const values = waiting;
      waiting = {};
      try {
        await ask(asked, 'image.set', values);
        setTrouble('');
      } catch (error) {
        setTrouble(error instanceof Error ? error.message : String(error));
        // What is shown was not set.
        await ask(asked, 'image.controls').catch(() => undefined);
      }
    }
    busy = false;
  }

  const change = (values: Record<string, Value>) => {
    Object.assign(waiting, values);
    show([...controls]);
    return send();
  };

  const defaults = (which: (control: Control) => boolean) =>
    Object.fromEntries(controls.filter(which).map((control) => [control.name, control.default]));

  return {
    controls,
    trouble,
    attach: (next) => {
      if (next === camera) return;
      camera = next;
      waiting = {};
      setTrouble('');
      setControls([]);
      // A camera of another firmware may not know the method.
      if (next) void ask(next, 'image.controls').catch(() => undefined);
    },
    set: (name, value) => void change({ [name]: value }),
    reset: () =>
      // Numbers that an automatic holds cannot be set, and which those are is known only when the automatics are set.
      void change(defaults((control) => control.kind !== 'integer')).then(() =>
        change(defaults((control) => control.kind === 'integer' && !control.inactive)),
      ),
  };
}
