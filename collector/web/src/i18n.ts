// Texts in English and Chinese.

const en = {
  skip: "Skip to the content", language: "中文", connecting: "connecting", live: "live",
  lost: "connection to the collector lost, trying again",
  about: "Rates count bytes on the wire, from the MAC header to the end of the payload: FCS, preamble and inter-packet gap are not included. A peak is the most within any 1 ms. Sums leave out stacked NICs. Lost packets are those the capture had no room for: they are in no other figure.",
  search: "Search", searchHint: "client or alias", client: "Client", recent: "Last minute",
  rx: "Received", tx: "Transmitted", peak: "1 ms peak", lostPackets: "Lost packets", nics: "NICs",
  state: "State", connected: "{0} of {1} clients connected", waiting: "Waiting for the first agent",
  enrol: "On this machine: collector token. On the host to be measured: agent enroll TOKEN, then agent run.",
  stale: "no sample for {0}", down: "not connected", clock: "clock {0}", lossMark: "{0} lost",
  stacked: "stacked", linkDown: "link down", back: "All clients", range: "Range", pause: "Pause",
  resume: "Live", reset: "Back to live", csv: "CSV", png: "PNG", peaks: "Peaks", noData: "nothing was measured in this range",
  gone: "this client is not connected; what was stored is shown", mean: "Mean", maximum: "Highest mean",
  percentile: "95th percentile of {0} averages", meanSize: "Mean packet size", total: "Total", packets: "Packets",
  events: "Events", noEvents: "none in this range", event_loss: "{0} packets lost", event_clock_step: "clock stepped", event_partial: "capture began or ended", event_gap: "not measured for {0}",
  resolution: "points of {0}, from {1}", chart: "Traffic of {0} {1}: received above, transmitted below the line. Arrow keys move the cursor, plus and minus zoom, space pauses.",
  wire: "wire bytes without FCS and preamble", failed: "the collector answers: {0}",
};

const zh: typeof en = {
  skip: "跳到内容", language: "English", connecting: "正在连接", live: "实时",
  lost: "与收集器的连接已断开，正在重试",
  about: "速率按线路字节计算：从 MAC 头到载荷结束，不含 FCS、前导码和帧间隔。峰值为任意 1 毫秒内的最大值。合计不含叠加网卡。丢失的数据包是抓包缓冲区容纳不下的，不计入任何其他数值。",
  search: "搜索", searchHint: "客户端或别名", client: "客户端", recent: "最近一分钟",
  rx: "接收", tx: "发送", peak: "1 毫秒峰值", lostPackets: "丢失的数据包", nics: "网卡",
  state: "状态", connected: "{1} 个客户端中 {0} 个已连接", waiting: "正在等待第一个代理",
  enrol: "在本机运行：collector token。在被测主机上运行：agent enroll TOKEN，然后 agent run。",
  stale: "{0} 没有样本", down: "未连接", clock: "时钟 {0}", lossMark: "丢失 {0}",
  stacked: "叠加", linkDown: "链路断开", back: "所有客户端", range: "范围", pause: "暂停",
  resume: "实时", reset: "返回实时", csv: "CSV", png: "PNG", peaks: "峰值", noData: "此范围内没有测量数据",
  gone: "此客户端未连接；显示已存储的数据", mean: "平均", maximum: "最高平均值",
  percentile: "{0} 平均值的第 95 百分位", meanSize: "平均包长", total: "总量", packets: "数据包",
  events: "事件", noEvents: "此范围内没有事件", event_loss: "丢失 {0} 个数据包", event_clock_step: "时钟跳变", event_partial: "抓包开始或结束", event_gap: "{0} 未测量",
  resolution: "每点 {0}，来自 {1}", chart: "{0} {1} 的流量：线上方为接收，下方为发送。方向键移动光标，加减号缩放，空格键暂停。",
  wire: "线路字节，不含 FCS 和前导码", failed: "收集器回答：{0}",
};

export type Text = keyof typeof en;
const KEY = "language";

function stored(): string | null {
  try { return localStorage.getItem(KEY); } catch { return null; }
}

let chinese = (stored() ?? navigator.language).startsWith("zh");

/** The text in the chosen language, with its places filled. */
export function t(text: Text, ...values: (string | number)[]): string {
  return (chinese ? zh : en)[text].replace(/\{(\d)\}/g, (_, n) => String(values[Number(n)] ?? ""));
}

export const language = (): string => (chinese ? "zh" : "en");

export function switchLanguage(): void {
  chinese = !chinese;
  try { localStorage.setItem(KEY, language()); } catch { /* the choice lasts as long as the page */ }
}
