// Texts in English and Chinese.

import { remember, remembered } from "./dom";

const en = {
  skip: "Skip to the content", language: "中文", connecting: "connecting", live: "live", unit: "Rates in {0}; switch between bit/s and B/s",
  lost: "connection to the collector lost, trying again",
  about: "Rates count bytes on the wire, from the MAC header to the end of the payload: FCS, preamble and inter-packet gap are not included. A peak is the most within any 1 ms, as a rate. Sums leave out stacked NICs. Lost packets are those the capture had no room for: they are in no other figure.",
  signIn: "Sign in", signOut: "Sign out", token: "Token of this collector",
  search: "Search", searchHint: "Search client or alias", client: "Client", clients: "Clients", recent: "Last minute",
  rx: "Received", tx: "Transmitted", peak: "1 ms peak", packetRate: "Packets/s", lostPackets: "Lost packets", late: "Late packets", inexact: "Inexact packets", ledger: "This NIC in all", nics: "NICs",
  loss: "{0}: {1}. {2}",
  lostMeans: "The capture had no room for them: they are in no other figure.",
  lateMeans: "Counted in a later interval than their own: sums are right, the rates of those intervals are not quite.",
  inexactMeans: "Not all of their headers could be read. What may be a super-packet counts as one packet, so these figures are a lower bound; their protocol or TCP flags may be missing from the mix.",
  attention: "Need attention", onlyAttention: "Only those that need attention", ofAll: "{0} of {1} connected", nothing: "No client matches.",
  waiting: "Waiting for the first agent", enrol: "The first command runs on this machine, the others on the host to be measured:",
  stale: "no sample for {0}", downFor: "down for {0}", elsewhere: "at another collector", connected: "connected", clock: "clock {0}", lossMark: "{0} lost", linksDown: "down: {0}",
  stacked: "stacked", linkDown: "link down", back: "All clients", range: "Range", pause: "Pause", resume: "Live",
  earlier: "Earlier", later: "Later", zoomOut: "Zoom out", csv: "CSV", png: "PNG", peaks: "Peaks", log: "Log scale",
  noData: "Nothing was measured in this range.", gone: "down since {0} ({1})", forgotten: "not known any more; what was stored is shown", unknown: "There is no client {0}.",
  cpus: "{0} CPUs", agent: "agent {0}", every: "a sample every {0}",
  figures: "Figures of this range", mean: "Mean", highest: "Highest point", percentile: "95th percentile of {0} averages", percentileOfAll: "The same of all NICs together", meanSize: "Mean packet size",
  total: "Total", measured: "Measured time", packets: "packets", each: "{0} each", captured: "captured as {0}",
  mix: "What the traffic is made of", noMix: "Nothing is known of this range: the mix is kept as long as samples are.", other: "Other",
  sizes: "Packets by size, bytes with FCS", network: "Bytes by network protocol", transport: "Bytes by transport protocol", kinds: "Packets of special kinds in {0}",
  multicast_packets: "Multicast", broadcast_packets: "Broadcast", tcp_syn_packets: "TCP SYN", tcp_rst_packets: "TCP RST",
  events: "Events", noEvents: "None in this range.", moreEvents: "There are older ones.",
  event_lost: "{0} packets lost", event_clock_step: "clock stepped", event_capture: "capture began or ended", event_started: "agent started",
  event_link_up: "link up", event_link_down: "link down", event_gap: "samples missing ({0}); received {1}, transmitted {2}",
  gap_spool_full: "the spool was full", gap_spool_damaged: "the spool was damaged", gap_forgotten: "committed once and lost since", gap_unmeasured: "the agent was broken off", gap_forked: "the host was set back to an earlier state", gap_misdated: "the host's clock was far off", gap_unknown: "reason unknown",
  resolution: "{0} points of {1} ({2}); shaded: not measured", hover: "Point at the chart for exact values; drag to zoom.",
  chart: "Traffic of {0}: received above, transmitted below the line. Arrow keys read out points, plus and minus zoom, page keys move, space pauses, 0 goes back to live.",
  wire: "wire bytes without FCS and preamble", failed: "The collector answers: {0}",
};

const zh: typeof en = {
  skip: "跳到内容", language: "English", connecting: "正在连接", live: "实时", unit: "速率单位 {0}；在 bit/s 和 B/s 之间切换",
  lost: "与收集器的连接已断开，正在重试",
  about: "速率按线路字节计算：从 MAC 头到载荷结束，不含 FCS、前导码和帧间隔。峰值为任意 1 毫秒内的最大值，以速率表示。合计不含叠加网卡。丢失的数据包是抓包缓冲区容纳不下的，不计入任何其他数值。",
  signIn: "登录", signOut: "退出登录", token: "此收集器的令牌",
  search: "搜索", searchHint: "搜索客户端或别名", client: "客户端", clients: "客户端", recent: "最近一分钟",
  rx: "接收", tx: "发送", peak: "1 毫秒峰值", packetRate: "包/秒", lostPackets: "丢失的数据包", late: "迟到的数据包", inexact: "不精确的数据包", ledger: "此网卡累计", nics: "网卡",
  loss: "{0}：{1}。{2}",
  lostMeans: "抓包缓冲区容纳不下：不计入任何其他数值。",
  lateMeans: "计入了晚于其自身的区间：总和正确，相关区间的速率略有偏差。",
  inexactMeans: "未能读取全部头部：可能的超级数据包按一个计数，因此这些数值只是下限；其协议或 TCP 标志也可能未计入构成。",
  attention: "需要关注", onlyAttention: "仅显示需要关注的", ofAll: "{0} / {1} 已连接", nothing: "没有匹配的客户端。",
  waiting: "正在等待第一个代理", enrol: "第一条命令在本机运行，其余在被测主机上运行：",
  stale: "{0} 没有样本", downFor: "离线 {0}", elsewhere: "在其他收集器", connected: "已连接", clock: "时钟 {0}", lossMark: "丢失 {0}", linksDown: "断开：{0}",
  stacked: "叠加", linkDown: "链路断开", back: "所有客户端", range: "范围", pause: "暂停", resume: "实时",
  earlier: "更早", later: "更晚", zoomOut: "缩小", csv: "CSV", png: "PNG", peaks: "峰值", log: "对数刻度",
  noData: "此范围内没有测量数据。", gone: "自 {0} 起离线（{1}）", forgotten: "已不在列表中；显示已存储的数据", unknown: "没有客户端 {0}。",
  cpus: "{0} 个 CPU", agent: "代理 {0}", every: "每 {0} 一个样本",
  figures: "此范围的数值", mean: "平均", highest: "最高点", percentile: "{0} 平均值的第 95 百分位", percentileOfAll: "全部网卡合计的第 95 百分位", meanSize: "平均包长",
  total: "总量", measured: "已测量时间", packets: "个数据包", each: "每个 {0}", captured: "捕获为 {0} 个",
  mix: "流量构成", noMix: "此范围没有构成数据：构成与样本保留时间相同。", other: "其他",
  sizes: "按包长统计的数据包（字节，含 FCS）", network: "按网络协议统计的字节", transport: "按传输协议统计的字节", kinds: "{0} 内的特殊数据包",
  multicast_packets: "组播", broadcast_packets: "广播", tcp_syn_packets: "TCP SYN", tcp_rst_packets: "TCP RST",
  events: "事件", noEvents: "此范围内没有事件。", moreEvents: "还有更早的事件。",
  event_lost: "丢失 {0} 个数据包", event_clock_step: "时钟跳变", event_capture: "抓包开始或结束", event_started: "代理启动",
  event_link_up: "链路连通", event_link_down: "链路断开", event_gap: "缺少样本（{0}）；接收 {1}，发送 {2}",
  gap_spool_full: "缓存已满", gap_spool_damaged: "缓存损坏", gap_forgotten: "曾已提交，后来丢失", gap_unmeasured: "代理曾中断", gap_forked: "主机曾被恢复到较早状态", gap_misdated: "主机时钟偏差过大", gap_unknown: "原因未知",
  resolution: "{0} 个点，每点 {1}（{2}）；阴影部分未测量", hover: "指向图表查看精确数值；拖动可放大。",
  chart: "{0} 的流量：线上方为接收，下方为发送。方向键逐点读数，加减号缩放，翻页键移动，空格键暂停，0 返回实时。",
  wire: "线路字节，不含 FCS 和前导码", failed: "收集器回答：{0}",
};

export type Text = keyof typeof en;
const KEY = "language";

let chinese = (remembered(KEY) ?? navigator.language).startsWith("zh");

/** The text in the chosen language, with its places filled. */
export function t(text: Text, ...values: (string | number)[]): string {
  return (chinese ? zh : en)[text].replace(/\{(\d)\}/g, (_, n) => String(values[Number(n)] ?? ""));
}

export const language = (): string => (chinese ? "zh" : "en");

export function switchLanguage(): void {
  chinese = !chinese;
  remember(KEY, language());
}
