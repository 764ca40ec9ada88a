"""Which service reads which topics, and what it does with a batch."""

from eventplatform import cases, decision, rtdl
from eventplatform.config import CONTROL, INGEST_TOPICS, OUTPUTS, RTDL, TRAFFIC, TRIGGERS

HANDLERS = {
    "rtdl-core-archive-writer": (rtdl.archive, INGEST_TOPICS),
    "rtdl-core-ieg": (rtdl.graph, [OUTPUTS["s1_arrival_entities_6B"][1]]),
    "rtdl-core-ofp": (rtdl.features, [TRAFFIC]),
    "rtdl-core-csfb": (rtdl.context, [topic for topic in INGEST_TOPICS if topic != TRAFFIC]),
    "decision-lane-dl": (decision.ladder, [CONTROL]),
    "decision-lane-df": (decision.fabric, [TRAFFIC]),
    "decision-lane-al": (decision.act, [RTDL]),
    "decision-lane-dla": (decision.audit, [RTDL]),
    "case-trigger": (cases.trigger, [RTDL]),
    "case-mgmt": (cases.manage, [TRIGGERS]),
    "label-store": (cases.label, [TRIGGERS]),
}
TOPICS_OF = {service: topics for service, (_, topics) in HANDLERS.items()}
