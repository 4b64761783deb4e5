// What the official JavaScript client reads: `client_node.mjs KUBECONFIG NAMESPACE`, JSON on stdout.
import { CoreV1Api, KubeConfig, Metrics, topNodes, topPods } from '@kubernetes/client-node';

const [kubeconfig, namespace] = process.argv.slice(2);
const config = new KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(CoreV1Api);
const metrics = new Metrics(config);

const usage = (status) => ({
  name: status.Pod.metadata.name,
  cpu: Number(status.CPU.CurrentUsage),
  memory: Number(status.Memory.CurrentUsage),
});
const capacity = (status) => ({
  name: status.Node.metadata.name,
  cpu: Number(status.CPU.Capacity),
  memory: Number(status.Memory.Capacity),
});

const read = {
  Metrics: {
    nodes: (await metrics.getNodeMetrics()).items,
    pods: (await metrics.getPodMetrics()).items,
    namespaced: (await metrics.getPodMetrics(namespace)).items,
  },
  topNodes: (await topNodes(core)).map(capacity),
  topPods: (await topPods(core, metrics, namespace)).map(usage),
};
process.stdout.write(JSON.stringify(read));
