// Visits the servers that stdin names, a line "HOST PORT" each, trusting the root
// in the file of NODE_EXTRA_CA_CERTS. Each is at a port of 127.0.0.1, and has to
// prove that it is HOST. For each prints a line: what it served, or why it was
// refused.
import net from "node:net";
import readline from "node:readline";
import tls from "node:tls";

const visit = (host, port) =>
  new Promise((resolve) => {
    let said = "";
    const socket = tls.connect({
      socket: net.connect(port, "127.0.0.1"),
      host, // what the certificate has to be for
      servername: net.isIP(host) ? "" : host, // RFC 6066 §3 allows no addresses
    });
    socket.setTimeout(20_000, () => socket.destroy(new Error("the server does not answer")));
    socket.on("data", (data) => (said += data));
    socket.on("error", (error) => resolve(`${error.code}: ${error.message}`));
    socket.on("close", () => resolve(said));
    socket.write("GET / HTTP/1.0\r\n\r\n");
  });

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [host, port] = line.split(" ");
  console.log((await visit(host, Number(port))).replaceAll(/\s+/g, " "));
}
