// Node as a server and as a client: `node node.js serve PORT`, `node node.js ask HOST PORT METHOD…`.
const { createHash } = require("crypto");
const http = require("http");

const digest = (data) => `${data.length} ${createHash("md5").update(data).digest("hex")}`;

function serve(port) {
  const odd = [];
  const server = http.createServer((request, answer) => {
    const count = (request.socket.count = (request.socket.count || 0) + 1);
    const line = `${request.method} ${request.url}`;
    if (request.method === "DELETE") odd.push(line);
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      if (request.url === "/odd") return answer.end(JSON.stringify(odd));
      const head = digest(Buffer.from(request.rawHeaders.join("\n")));
      answer.end(`${count} ${line} ${head} ${digest(Buffer.concat(parts))}\n`);
    });
  });
  server.listen(port);
}

function request(agent, host, port, method, body) {
  return new Promise((resolve, reject) => {
    const headers = { Host: "web.test" };
    const asked = http.request({ agent, host, port, method, path: "/node", headers }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve([answer.statusCode, Buffer.concat(parts).toString()]));
    });
    asked.on("error", reject);
    for (const part of body) asked.write(part);
    asked.end();
  });
}

// One after another, on a connection that is kept as long as the server keeps it.
async function ask(host, port, ...methods) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const said = [];
  for (const method of methods) {
    const body = method === "PUT" ? ["a".repeat(100000), "b"] : [];
    said.push(await request(agent, host, port, method, body));
  }
  console.log(JSON.stringify(said));
  agent.destroy();
}

const [verb, ...rest] = process.argv.slice(2);
({ serve, ask })[verb](...rest);
