"""The sentences of the clauses: who each binds, in English and in Chinese. `clauses` fills in the numbers."""

from __future__ import annotations

from typing import Literal

Text = tuple[Literal["provider", "customer", "both"], str, str]

TEXTS: dict[str, Text] = {
    "supply.price": (
        "customer",
        "{customer} pays {provider} for each kWh that the meter takes beyond what was traded: {tariff}.",
        "电表用电超出已交易电量的部分，{customer}向{provider}按以下电价付费：{tariff}。",
    ),
    "supply.feed-in": (
        "provider",
        "{provider} buys each kWh that the meter gives beyond what was traded at {price}.",
        "电表上网电量超出已交易电量的部分，{provider}以{price}收购。",
    ),
    "supply.grid-fee": (
        "provider",
        "{provider} hands on {fee} of what it sells to {customer} to the grid operator.",
        "{provider}就售予{customer}的电量向电网运营商转交{fee}。",
    ),
    "supply.statement": (
        "both",
        "Both sides compute each interval on their own, and it is paid when they come to the same.",
        "双方各自计算每个时段，结果一致即付款。",
    ),
    "grid.local-fee": (
        "customer",
        "{customer} pays {provider} {fee} for energy that it buys from neighbours.",
        "{customer}从邻居购电时向{provider}支付{fee}。",
    ),
    "grid.area-fee": (
        "customer",
        "For energy from another area {customer} pays {provider} in addition: {fees}.",
        "购买其他区域的电量时，{customer}另向{provider}支付：{fees}。",
    ),
    "grid.fee": (
        "customer",
        "Energy from the supplier bears a grid fee of {fee}, which stands inside the supplier's price.",
        "供电商所售电量含电网费{fee}，已计入其电价。",
    ),
    "grid.metering": (
        "provider",
        "{provider} works out what was delivered from the meter's readings, and again when one is corrected.",
        "{provider}依据电表读数核定交付电量，读数更正后重新核定。",
    ),
    "certificate.issue": (
        "provider",
        "{provider} issues one certificate of origin for each Wh that the home makes, once.",
        "住户每生产1 Wh，{provider}签发一份绿色电力证书，且仅一次。",
    ),
    "certificate.transfer": (
        "provider",
        "Certificates go with the energy to its buyer, the rest to the supplier, and are cancelled when it is used.",
        "证书随电量转给买方，其余转给供电商，用电时注销。",
    ),
    "certificate.make-good": (
        "customer",
        "Where a corrected reading shows less than was certified, the next certificates make it good.",
        "更正后的读数少于已签发证书的，由之后的证书补足。",
    ),
    "mandate.limits": (
        "provider",
        "{provider} bids at the feed-in price plus {bid} % of the gain of local trade, and offers at it plus {ask} %.",
        "{provider}的买价为上网电价加本地交易收益的{bid}%，卖价为上网电价加其{ask}%。",
    ),
    "mandate.forecast": (
        "provider",
        "{provider} orders in {market} for {customer} what it lacked or had left in the interval a day before.",
        "{provider}在{market}市场为{customer}下单，数量为前一日同一时段的缺额或余额。",
    ),
    "mandate.bounds": (
        "provider",
        "No order exceeds {energy}, nor lies outside {low} to {high}; {operators} can read it.",
        "每笔订单不超过{energy}，价格在{low}至{high}之间；{operators}可读取。",
    ),
    "wallet.deposit": (
        "provider",
        "{provider} enters in account {account} what {customer} pays in or takes out.",
        "{customer}的存入与取出由{provider}记入账户{account}。",
    ),
    "wallet.credit": (
        "both",
        "{provider} lets account {account} fall below zero by {credit} at the most.",
        "{provider}允许账户{account}最多透支{credit}。",
    ),
    "wallet.reserve": (
        "provider",
        "{provider} sets money aside for each bid when it is ordered, and releases what is not used.",
        "每笔买单下单时{provider}即冻结款项，未用部分予以解冻。",
    ),
    "wallet.entries": (
        "provider",
        "{provider} shows {customer} every movement, each linked to the one before, so that none can be hidden.",
        "{provider}向{customer}出示每笔变动，逐笔相连，无法隐瞒。",
    ),
    "balance.imbalance": (
        "both",
        "What the homes of {customer} take or give in all is bought or sold at the published price '{series}'.",
        "{customer}各住户合计的购入电量与售出电量，均按公布价格“{series}”结算。",
    ),
    "balance.account": (
        "provider",
        "{provider} settles it through the outside account {account}.",
        "{provider}通过外部账户{account}结算。",
    ),
    "market.price": (
        "both",
        "In market {name} {mechanism}; bids and asks trade while the bid is not below the ask.",
        "在{name}市场中，{mechanism}；买价不低于卖价即可成交。",
    ),
    "market.gate": (
        "provider",
        "A session of {minutes} minutes opens {opens} before it starts; {lead} closes it for orders {gate} before.",
        "每个{minutes}分钟时段于开始前{opens}开放，由{lead}于开始前{gate}关闭。",
    ),
    "market.agreement": (
        "both",
        "{operators} clear on their own, and trades are final when {agree} results are equal.",
        "{operators}各自出清，{agree}份结果一致时交易生效。",
    ),
    "market.rules": (
        "both",
        "An order is for {energy} or more, at {low} to {high}, and never meets its owner's own; days are of {zone}.",
        "订单不少于{energy}，价格在{low}至{high}之间，日期按{zone}计，且不得与本人订单成交。",
    ),
    "market.payment": (
        "both",
        "{settlement_agent} counts a bid only with its money set aside, and pays when it trades.",
        "{settlement_agent}仅计入款项已冻结的买单，并在成交时付款。",
    ),
    "market.fee": (
        "both",
        "The buyer pays {grid_operator} {fee}, and more between areas as the rules say.",
        "买方向{grid_operator}支付{fee}，跨区另按规则加收。",
    ),
    "market.group": (
        "both",
        "Totals are shown only of {group_k} or more homes of which none has more than {share} %.",
        "仅公布不少于{group_k}户且单户占比不超过{share}%的合计。",
    ),
    "ppa.price": (
        "customer",
        "{customer} pays {provider} {price} for the agreed energy.",
        "{customer}就约定电量向{provider}支付{price}。",
    ),
    "ppa.profile": (
        "provider",
        "{provider} delivers {energy} a day in {count} intervals by the local time of {zone}.",
        "{provider}按{zone}当地时间，每日分{count}个时段交付{energy}。",
    ),
    "p2p.price": (
        "customer",
        "{customer} pays {provider} {price} for its surplus.",
        "{customer}就{provider}的余电支付{price}。",
    ),
    "p2p.energy": (
        "provider",
        "The surplus of {provider} goes to {customer} first, up to {energy} in {minutes} minutes.",
        "{provider}的余电优先供给{customer}，每{minutes}分钟至多{energy}。",
    ),
    "flexibility.price": (
        "customer",
        "{customer} pays {provider} {price} for each kWh used less when called.",
        "{customer}发出调用时，就{provider}每少用1 kWh支付{price}。",
    ),
    "flexibility.call": (
        "provider",
        "{provider} uses up to {energy} less in an interval when {customer} calls, {calls} times at the most.",
        "{customer}调用时，{provider}在该时段至多少用{energy}，最多{calls}次。",
    ),
    "contract.term": (
        "both",
        "The contract holds from {start}{until}, and executes at no other time.",
        "合同自{start}{until}，其余时间不执行。",
    ),
    "contract.signatures": (
        "both",
        "It holds only once {provider} and {customer} both signed, as does each amendment.",
        "合同及其修订须经{provider}与{customer}双方签署方可生效。",
    ),
    "contract.notice": (
        "both",
        "Either side ends it with {days} days' notice, and may suspend it and resume what it suspended.",
        "任何一方可提前{days}天通知终止合同，也可中止并恢复由其中止的合同。",
    ),
    "contract.dispute": (
        "both",
        "Where the two computations differ nothing is paid for that interval until one side accepts the other's.",
        "双方计算不一致时，该时段暂不付款，直至一方接受另一方的结果。",
    ),
}
