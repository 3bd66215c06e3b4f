// Reads a simulated org with jsforce and prints as one JSON object what came.
import jsforce from "jsforce";

const { url, admin, clientId, clientSecret } = JSON.parse(process.argv[2]);
const GRANT = { grant_type: "client_credentials" };
const SOQL = "SELECT Id, Name FROM Opportunity ORDER BY SystemModstamp, Id";

const oauth2 = new jsforce.OAuth2({ loginUrl: url, clientId, clientSecret });
let refreshes = 0;
const connection = new jsforce.Connection({
  oauth2,
  version: "66.0",
  refreshFn: (_connection, done) => {
    refreshes += 1;
    oauth2.requestToken(GRANT).then((answer) => done(null, answer.access_token), done);
  },
});
const user = await connection.authorize(GRANT);

const expire = () => fetch(`${admin}/admin/sessions/expire`, { method: "POST" });
const ids = (records) => records.map((record) => record.Id);
const all = { autoFetch: true, maxFetch: 100_000 };
const everything = async (scanAll) => (await connection.query(SOQL, { ...all, scanAll })).records;

async function pages() {
  const sizes = [];
  let page = await connection.query(SOQL, { scanAll: true });
  for (;;) {
    sizes.push(page.records.length);
    if (page.done) return sizes;
    page = await connection.queryMore(page.nextRecordsUrl);
  }
}

async function bulk(scanAll) {
  connection.bulk2.pollInterval = 20;
  const stream = await connection.bulk2.query("SELECT Id, Name FROM Opportunity", { scanAll });
  return ids(await stream.toArray());
}

async function lostInTheMiddle() {
  const page = await connection.query(SOQL);
  await expire();
  return connection.queryMore(page.nextRecordsUrl).then(() => null, (error) => error.errorCode);
}

const told = {
  organization: user.organizationId,
  pages: await pages(),
  rows: ids(await everything(true)),
  visible: ids(await everything(false)),
  bulk: await bulk(false),
  bulkAll: await bulk(true),
  fields: (await connection.sobject("Opportunity").describe()).fields.length,
  first: (await connection.sobject("Opportunity").retrieve("006Deal00000001")).Name,
  refused: await connection.query("SELECT Foo FROM Opportunity").then(() => null, (error) => error.errorCode),
  limit: connection.limitInfo.apiUsage.limit,
};
await expire();
told.afterExpiry = ids(await everything(true)).length;
told.refreshes = refreshes;
told.lostInTheMiddle = await lostInTheMiddle();
console.log(JSON.stringify(told));
