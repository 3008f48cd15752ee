/** Tells when this machine's network changed, as far as browsers say. */

/** Android and ChromeOS say what the network is; elsewhere `change` is about speed, which does not matter here. */
interface NetworkInformation extends EventTarget {
  type?: string;
}

/** Calls `changed` at each change until the returned function is called. */
export function watchNetwork(changed: () => void): () => void {
  const information = (navigator as { connection?: NetworkInformation }).connection;
  let type = information?.type;
  const look = () => {
    if (information?.type === type) return;
    type = information?.type;
    changed();
  };
  window.addEventListener('online', changed);
  information?.addEventListener('change', look);
  return () => {
    window.removeEventListener('online', changed);
    information?.removeEventListener('change', look);
  };
}
