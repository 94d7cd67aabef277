import javax.management.ObjectName;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/** Looks into a JVM from outside, as jconsole does: the process that answers at HOST:PORT. */
public class Client {
    public static void main(String[] arguments) throws Exception {
        var url = new JMXServiceURL("service:jmx:rmi:///jndi/rmi://" + arguments[0] + "/jmxrmi");
        try (var connector = JMXConnectorFactory.connect(url)) {
            var runtime = new ObjectName("java.lang:type=Runtime");
            System.out.println("pid " + connector.getMBeanServerConnection().getAttribute(runtime, "Pid"));
        }
    }
}
