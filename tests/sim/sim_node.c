// SPDX-License-Identifier: Apache-2.0
//
// sim_node.c - worker processes: worker_main itself runs, on a stack of its own, until it waits in loop_run; from then on its calls come from
// the simulation's heap. A crash is a stack that nobody goes back to.
#include "sim/sim.h"

#include "loop/http_client.h"
#include "loop/stop_signal.h"
#include "worker/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#ifdef SIM_SANITIZED
#include <sanitizer/asan_interface.h>
#define FORGET_STACK(stack, size) __asan_unpoison_memory_region((stack), (size))
#else
#define FORGET_STACK(stack, size) ((void)(stack), (void)(size))
#endif

enum { STACK_SIZE = 256 * 1024, NODE_ID_SIZE = 32 };

struct sim_node {
	struct sim_life *life; // NULL: it does not run
	int number, starts;
	char *id; // kept by the simulation, so that it is not copied again and again
	struct text id_text; // the same
	char replaces[32];
	struct config config;
	int64_t skew_us, paused_until_us, cut_off_until_us;
	struct stop_signals *signals;
	bool stopping;
	ucontext_t context;
};

static struct sim_node nodes[SIM_NODES];
_Alignas(64) static char stacks[SIM_NODES][STACK_SIZE];
static char apple_url[] = "https://apple";
static ucontext_t scheduler;
static int64_t lives;

int sim_node_number(const struct sim_life *life)
{
	return life->node->number;
}

bool sim_node_is_cut_off(const struct sim_life *life)
{
	return life->node->cut_off_until_us > sim.now_us;
}

int64_t sim_paused_until_us(const struct sim_life *life)
{
	return life->node->paused_until_us;
}

struct text sim_node_id(const struct sim_life *life)
{
	return life->node->id_text;
}

int64_t sim_node_skew_us(const struct sim_life *life)
{
	return life->node->skew_us;
}

int64_t sim_beat_skip_us(const struct sim_life *life)
{
	if (sim_node_is_cut_off(life) || sim.db_away_until_us > sim.now_us) {
		return sim.now_us;
	}
	return sim_plan_next_node_fault_us();
}

// --- what worker_main calls ---

void loop_run(struct loop *loop)
{
	struct sim_node *node = ((struct sim_life *)loop->uv.data)->node;

	swapcontext(&node->context, &scheduler);
}

void stop_signals_open(struct stop_signals *signals, struct loop *loop)
{
	((struct sim_life *)loop->uv.data)->node->signals = signals;
}

void stop_signals_close(struct stop_signals *signals)
{
	(void)signals;
	sim.life->closing = true;
}

enum err key_provider_open_file(struct key_provider **out, const char *path, struct fault *fault)
{
	(void)path;
	(void)fault;
	*out = NULL; // nothing is really sealed
	return OK;
}

void key_provider_close(struct key_provider *provider)
{
	(void)provider;
}

// --- lives ---

static void live(void)
{
	assert(worker_main(&sim.life->node->config) == EXIT_SUCCESS);
}

static void go_on(struct sim_life *life)
{
	struct sim_life *before = sim.life;

	sim.life = life;
	assert(swapcontext(&scheduler, &life->node->context) == 0);
	sim.life = before;
}

static void start(void *argument)
{
	struct sim_node *node = argument;
	struct sim_life *life = sim_take(sizeof *life);

	if (node->life != NULL) {
		return;
	}
	(void)snprintf(node->replaces, sizeof node->replaces, "%.*s", TEXT_ARGS(node->id_text));
	node->id = sim_take(NODE_ID_SIZE);
	(void)snprintf(node->id, NODE_ID_SIZE, "node%d-%d", node->number, ++node->starts);
	node->id_text = text_of(node->id);
	node->config.node_id = node->id;
	node->config.replaces_node = node->starts > 1 && node->config.parent_pid != 0 ? node->replaces : NULL;
	node->paused_until_us = 0;
	node->skew_us = sim_between(-5 * MINUTE_US, 5 * MINUTE_US);
	node->stopping = false;
	node->life = life;
	*life = (struct sim_life){ .node = node, .number = ++lives,
		.loaded = sim_take((size_t)sim.shape->tenants * sizeof *life->loaded) };
	sim_trace("start", node->number, node->starts, 0);
	FORGET_STACK(stacks[node->number], STACK_SIZE);
	getcontext(&node->context);
	node->context.uc_stack.ss_sp = stacks[node->number];
	node->context.uc_stack.ss_size = STACK_SIZE;
	node->context.uc_link = &scheduler;
	makecontext(&node->context, live, 0);
	go_on(life);
}

// The process has ended by itself: the supervisor starts another one.
void sim_node_closed(struct sim_life *life)
{
	struct sim_node *node = life->node;

	sim_trace("end", node->number, 0, 0);
	go_on(life);
	life->dead = true;
	sim_due_changed();
	node->life = NULL;
	node->config.parent_pid = 1;
	node->config.replaced_crashed = 0;
	sim_at(sim.now_us + SECOND_US, NULL, start, node);
}

// `known`: the supervisor saw it, and says whom the next one replaces. Otherwise the machine is lost, and only its silence tells.
static void crash(struct sim_node *node, bool known)
{
	sim_trace("crash", node->number, known, 0);
	sim.crashes++;
	node->life->dead = true;
	sim_due_changed();
	node->life = NULL;
	node->config.parent_pid = known;
	node->config.replaced_crashed = known;
	sim_at(sim.now_us + (known ? SECOND_US : sim_between(2, 120) * SECOND_US), NULL, start, node);
}

void sim_node_crash(const struct sim_life *life)
{
	crash(life->node, true);
}

static void stop(void *argument)
{
	struct sim_life *life = argument;

	life->node->signals->stop(life->node->signals);
}

void sim_node_fault(enum fault_kind kind)
{
	struct sim_node *node = &nodes[sim_between(0, SIM_NODES - 1)];

	if (node->life == NULL || node->stopping) {
		return;
	}
	if (kind == FAULT_NODE_CRASHED || kind == FAULT_NODE_LOST) {
		crash(node, kind == FAULT_NODE_CRASHED);
	} else if (kind == FAULT_NODE_PAUSED) {
		node->paused_until_us = sim.now_us + sim_between(1, 60) * SECOND_US;
	} else if (kind == FAULT_NODE_CUT_OFF) {
		node->cut_off_until_us = sim.now_us + sim_between(1, 60) * SECOND_US;
	} else if (kind == FAULT_NODE_STOPPED) {
		node->stopping = true;
		sim_at(sim.now_us, node->life, stop, node->life);
	}
}

void sim_nodes_begin(void)
{
	memset(nodes, 0, sizeof nodes);
	lives = 0;
	for (int i = 0; i < SIM_NODES; i++) {
		nodes[i].number = i;
		nodes[i].config = (struct config){
			.sync_interval_s = sim.shape->interval_s, .apple_url = apple_url, .parent_pid = 1, .tenant_memory_mib = 64, .page_memory_kib = 4096,
			.pages_at_once = sim.shape->pages_at_once > 0 ? sim.shape->pages_at_once : 2, .workers = 1, .hint_sockets = sim.shape->hints ? 1 : 0,
		};
		sim_at(sim.now_us + sim_between(0, SECOND_US), NULL, start, &nodes[i]);
	}
}
