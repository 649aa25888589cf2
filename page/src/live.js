// The connection over which pictures are drawn while one types: the newest request wins.

const AGAIN = [250, 500, 1000, 2000, 4000];

export class Live {
  /** @param onMessage called with each message; @param onState with "open", "closed" or "refused" */
  constructor(onMessage, onState) {
    this.onMessage = onMessage;
    this.onState = onState;
    this.id = 0;
    this.tries = 0;
    this.waiting = null;
    this.key = sessionStorage.getItem("limner-key") || "";
    this.connect();
  }

  connect() {
    const address = new URL("v1/live", document.baseURI); // behind a proxy below the proxy's path
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(address);
    this.socket.onopen = () => {
      this.tries = 0;
      this.onState("open");
      if (this.waiting) this.send(this.waiting);
    };
    this.socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.error?.code === "invalid_api_key") this.onState("refused");
      // Pictures of an older request are of words that are no longer there.
      else if (message.id === this.id) this.onMessage(message);
    };
    this.socket.onclose = () => {
      this.onState("closed");
      const wait = AGAIN[Math.min(this.tries++, AGAIN.length - 1)];
      setTimeout(() => this.connect(), wait);
    };
  }

  /** Draw what a body asks for; what is being drawn for an older one is left. */
  draw(body) {
    this.id += 1;
    this.send({ id: this.id, body });
    return this.id;
  }

  send(message) {
    this.waiting = message;
    if (this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify(this.key ? { ...message, key: this.key } : message));
    }
  }

  unlock(key) {
    this.key = key;
    sessionStorage.setItem("limner-key", key);
    if (this.waiting) this.send(this.waiting);
  }
}
